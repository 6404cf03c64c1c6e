#include "fuzz/session_world.h"

#include <chrono>
#include <map>

#include "config/identity.h"
#include "fuzz/check.h"

namespace penstock::fuzz {
namespace {

constexpr std::size_t kMostClients = 8;
constexpr int kSpinning = 200'000;

UpstreamSettings plain_upstream(std::string name, std::string host, std::uint32_t options) {
  UpstreamSettings upstream;
  upstream.name = std::move(name);
  upstream.hosts = {std::move(host)};
  upstream.policy.scheme = SchemeMode::kHttp;
  upstream.policy.tls.verify = false;  // no trust store is loaded
  if ((options & 2) != 0) upstream.policy.timeouts.expect_continue = Duration::zero();
  if ((options & 4) != 0) upstream.policy.pool.max_connections = 1;
  if ((options & 8) != 0) upstream.policy.pool.reuse = false;
  if ((options & 16) != 0) upstream.policy.max_response_header_size = 256;
  upstream.policy.pool.max_idle = upstream.policy.pool.max_connections;
  return upstream;
}

ConfigSnapshot make_config(std::uint32_t options) {
  Config config;
  config.listeners.emplace_back();
  config.client.half_close = (options & 1) != 0;
  if ((options & 16) != 0) config.client.max_header_size = 256;
  config.upstreams = {plain_upstream("api", "api.test", options),
                      plain_upstream("rest", "*", options)};
  return std::make_shared<const Config>(std::move(config));
}

// Made once: their TLS contexts would cost more than all the rest of a run.
std::shared_ptr<const RoutingTable> table_for(std::uint32_t options) {
  static TrustStores trust;
  static std::map<std::uint32_t, std::shared_ptr<const RoutingTable>> tables;
  std::shared_ptr<const RoutingTable>& table = tables[options];
  if (table == nullptr) {
    auto made = RoutingTable::create(make_config(options), trust, nullptr);
    FUZZ_CHECK(made.has_value());
    table = *made;
  }
  return table;
}

PoolPolicies pool_policies(const Config& config) {
  PoolPolicies policies;
  for (const UpstreamSettings& upstream : config.upstreams)
    policies[upstream.name] = {host_limits(upstream.policy.pool), identity_hash(upstream)};
  return policies;
}

}  // namespace

SessionWorld::SessionWorld(std::uint32_t options)
    : pool_(0, registry_,
            {.executor = executor_,
             .clock = clock_,
             .timers = clock_.timers(),
             .dialer = dialer_,
             .metrics = metrics_}) {
  const std::shared_ptr<const RoutingTable> table = table_for(options & 31);
  config_ = std::shared_ptr<const Config>(table, &table->config());
  registry_.apply(pool_policies(*config_));
  quota_.set_limit(1000);
  proxy_ = std::make_unique<Proxy>(Proxy::Outside{.executor = executor_,
                                                  .clock = clock_,
                                                  .timers = clock_.timers(),
                                                  .pool = pool_,
                                                  .metrics = metrics_,
                                                  .access_log = writer_,
                                                  .clients = quota_,
                                                  .hints = hints_,
                                                  .retries = retries_,
                                                  .buffers = buffers_,
                                                  .log = log_},
                                   table, std::string(kPseudonym), 0);
  endpoint_ =
      std::make_shared<Endpoint>(Endpoint{.settings = config_->listeners[0],
                                          .local = *SocketAddress::from_ip("127.0.0.1", 3128),
                                          .name = "127.0.0.1:3128",
                                          .metrics = &metrics_.listener("127.0.0.1:3128")});
}

SessionWorld::~SessionWorld() {
  proxy_->abort_sessions();
  executor_.run_all();
  pool_.shut_down();
  executor_.run_all();
  proxy_.reset();
}

void SessionWorld::play(const ScriptStep& step) {
  switch (step.letter) {
    case 'd':
      complete_dial();
      break;
    case 'f':
      if (dialer_.in_flight() > 0) dialer_.fail();
      break;
    case 't':
      clock_.advance(std::chrono::milliseconds(step.number));
      break;
    case 'g':
      if (!proxy_->draining()) proxy_->begin_drain({});
      break;
    default:
      play_client(step);
      play_origin(step);
  }
  settle();
}

void SessionWorld::play_client(const ScriptStep& step) {
  switch (step.letter) {
    case 'n':
      if (clients_.size() < kMostClients) add_client();
      break;
    case 'x':
      chosen_client_ = step.number;
      break;
    case 'c':
    case 'e':
    case 'r':
    case 'w':
    case 'l':
      play_peer(client(), step.letter, step);
      break;
    default:
      break;
  }
}

void SessionWorld::play_origin(const ScriptStep& step) {
  constexpr std::string_view kLetters = "uERWL";
  constexpr std::string_view kAsClient = "cerwl";
  if (step.letter == 'y') chosen_origin_ = step.number;
  const std::size_t known = kLetters.find(step.letter);
  if (known == std::string_view::npos) return;
  if (dialer_.in_flight() > 0) complete_dial();
  if (Actor* actor = origin()) play_peer(*actor, kAsClient[known], step);
}

void SessionWorld::play_peer(Actor& actor, char letter, const ScriptStep& step) {
  if (!actor.peer->open()) return;
  switch (letter) {
    case 'c':
      if (actor.left) return;  // nothing comes behind an end
      actor.marks.push_back({actor.sent.size(), actor.peer->written().size()});
      actor.peer->send(step.bytes);
      actor.sent += step.bytes;
      break;
    case 'e':
      actor.peer->send_eof();
      actor.left = true;
      break;
    case 'r':
      actor.peer->fail_reads();
      actor.peer->fail_writes();
      actor.left = true;
      break;
    case 'w':
      actor.peer->set_room(step.number == 0 ? FakePeer::kUnlimited : step.number);
      break;
    case 'l':
      actor.read_slowly = true;
      actor.peer->read_at_most(std::max<std::size_t>(step.number, 1));
      break;
    default:
      break;
  }
}

Actor& SessionWorld::client() {
  if (clients_.empty()) add_client();
  return clients_[chosen_client_ % clients_.size()];
}

// The last one, unless another was chosen.
Actor* SessionWorld::origin() {
  if (origins_.empty()) return nullptr;
  if (chosen_origin_ == 0) return &origins_.back();
  return &origins_[(chosen_origin_ - 1) % origins_.size()];
}

void SessionWorld::add_client() {
  FakePeer& peer = *client_peers_.emplace_back(std::make_unique<FakePeer>());
  clients_.push_back({.peer = &peer, .sent = {}, .marks = {}});
  chosen_client_ = clients_.size() - 1;
  proxy_->accept(peer.connect(), endpoint_, Peer{*SocketAddress::from_ip("127.0.0.1", 50000)});
}

void SessionWorld::complete_dial() {
  if (dialer_.in_flight() == 0) return;
  origins_.push_back({.peer = &dialer_.complete(), .sent = {}, .marks = {}});
  settle();
}

void SessionWorld::settle() {
  int turns = 0;
  while (turn_all()) FUZZ_CHECK(++turns < kSpinning);
}

bool SessionWorld::turn_all() {
  bool any = false;
  for (const auto& peer : client_peers_) any = peer->turn() || any;
  for (std::size_t i = 0; i < dialer_.peer_count(); ++i) any = dialer_.peer(i).turn() || any;
  return executor_.run_one() || any;
}

}  // namespace penstock::fuzz
