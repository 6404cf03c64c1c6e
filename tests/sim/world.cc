#include "world.h"

#include <algorithm>
#include <numeric>

namespace penstock::sim {

namespace {

constexpr std::uint64_t kSteps = 600;

}  // namespace

// What else a process does from outside gets a row here and a case in act().
constexpr std::array<std::pair<World::Event, std::size_t>, 9> World::kOdds = {{
    {Event::kTurns, 240},
    {Event::kClient, 240},
    {Event::kOrigin, 176},
    {Event::kDial, 64},
    {Event::kTime, 24},
    {Event::kArrival, 40},
    {Event::kAddress, 8},
    {Event::kReload, 1},
    {Event::kConsole, 2},
}};

World::World(std::uint64_t seed, Progress& progress, Process& process, bool tracing)
    : stage_(seed, progress, tracing), process_(process) {
  progress.step = 0;
  progress.reloads = 0;
  put_in_force();
  quota_.set_limit(rules_.max_clients());
  const Shared shared{.stage = stage_,
                      .workers = workers_,
                      .registry = registry_,
                      .ledger = ledger_,
                      .clients = quota_,
                      .hints = hints_,
                      .retries = retries_,
                      .buffers = buffers_,
                      .sockets = sockets_,
                      .process = process_};
  for (std::size_t i = 0; i < kWorkers; ++i) {
    workers_.push_back(std::make_unique<Worker>(
        i, shared,
        [this](FakePeer& peer, Origin::Dialled dialled) -> Origin& {
          return connected(peer, std::move(dialled));
        },
        table_));
  }
  stage_.between = [this] { interleave(); };
  audit_.check(0);  // what is kept warm is dialled by now
}

World::~World() = default;

void World::run() {
  const std::uint64_t ends_at = stage_.chance.between(kSteps / 2, kSteps * 3);
  while (stage_.progress.step < kSteps) {
    if (stage_.progress.step == ends_at) end_a_worker();
    step();
  }
  if (!stage_.chance.one_in(4)) {
    wind_up();
    let_hosts_be_forgotten();
  }
  end_workers();
  check_nothing_left();
  stage_.progress.requests += ledger_.begun;
  stage_.progress.answers += ledger_.ended;
  stage_.progress.with_cap += audit_.cap_reached() ? 1 : 0;
  stage_.progress.with_reload += stage_.progress.reloads > 0 ? 1 : 0;
}

void World::step() {
  ++stage_.progress.step;
  ++stage_.progress.steps_done;
  act();
  after_step();
}

void World::after_step() {
  std::erase_if(sockets_, [](const Socket* socket) { return socket->over(); });
  ledger_.end_step();
  audit_.check(std::exchange(connections_closed_, 0));
}

void World::act() {
  switch (draw_event()) {
    case Event::kTurns:
      give_turns();
      return;
    case Event::kClient:
      play_client();
      return;
    case Event::kOrigin:
      play_origin();
      return;
    case Event::kDial:
      play_dial();
      return;
    case Event::kTime:
      pass_time();
      return;
    case Event::kArrival:
      let_client_come();
      return;
    case Event::kAddress:
      move_address();
      return;
    case Event::kReload:
      reload();
      return;
    case Event::kConsole:
      use_console();
      return;
  }
}

World::Event World::draw_event() {
  std::size_t which = stage_.chance.below(
      std::accumulate(kOdds.begin(), kOdds.end(), std::size_t{0},
                      [](std::size_t sum, const auto& odds) { return sum + odds.second; }));
  for (const auto& [event, share] : kOdds) {
    if (which < share) return event;
    which -= share;
  }
  return Event::kTurns;
}

// What may happen

Worker* World::any_worker() {
  std::vector<Worker*> at_work;
  for (const auto& worker : workers_) {
    if (!worker->ended() && !worker->busy()) at_work.push_back(worker.get());
  }
  return at_work.empty() ? nullptr : stage_.chance.of(at_work);
}

void World::give_turns() {
  Worker* worker = any_worker();
  if (stage_.chance.one_in(3)) {
    worker->turn_until_quiet();
    return;
  }
  for (std::size_t left = stage_.chance.between(1, 12); left > 0 && worker->turn(); --left)
    continue;
}

// Inside a system call of one worker, another has its turn.
void World::interleave() {
  if (interleaved_ == kWorkers - 1) return;
  Worker* worker = any_worker();
  if (worker == nullptr) return;
  ++interleaved_;
  worker->turn();
  --interleaved_;
}

void World::play_client() {
  std::vector<Client*> there;
  for (const auto& client : clients_) {
    if (client->there()) there.push_back(client.get());
  }
  if (!there.empty()) stage_.chance.of(there)->act();
}

template <typename Predicate>
Origin* World::any_origin(Predicate wanted) {
  std::vector<Origin*> found;
  for (const auto& origin : origins_) {
    if (wanted(*origin)) found.push_back(origin.get());
  }
  return found.empty() ? nullptr : stage_.chance.of(found);
}

void World::play_origin() {
  Origin* origin = any_origin([](const Origin& one) { return one.has_something_to_do(); });
  if (origin == nullptr || stage_.chance.one_in(5))
    origin = any_origin([](const Origin& one) { return one.open(); });
  if (origin != nullptr) origin->act();
}

void World::play_dial() {
  std::vector<Worker*> dialling;
  for (const auto& worker : workers_) {
    if (worker->dialer().in_flight() > 0) dialling.push_back(worker.get());
  }
  if (dialling.empty()) return;
  Worker& worker = *stage_.chance.of(dialling);
  const Worker::Turn turn(worker);
  worker.dialer().act();
}

void World::pass_time() {
  Chance& chance = stage_.chance;
  if (chance.one_in(12)) {
    audit_.note_suspend();
    stage_.clock.sleep(std::chrono::seconds(20));
  }
  stage_.clock.advance(chance.time_between(std::chrono::milliseconds(1), std::chrono::minutes(2)));
  stage_.trace("time passes");
}

void World::let_client_come() {
  Worker* accepting = any_worker();
  std::optional<std::size_t> place;
  {
    const Worker::Turn turn(*accepting);
    place = accepting->place_client();
  }
  if (!place) return;  // too many
  Worker& serving = *workers_[*place];
  Client& client = *clients_.emplace_back(std::make_unique<Client>(
      stage_, ledger_, clients_.size() + 1, *place, serving.generation(), rules_));
  if (&serving == accepting) {
    const Worker::Turn turn(serving);
    serving.serve(client);
  } else {
    serving.post([&serving, &client] { serving.serve(client); });
  }
}

void World::reload() {
  stage_.trace("a reload");
  ++stage_.progress.reloads;
  rules_.change();
  put_in_force();
  for (const auto& worker : workers_) {
    if (!worker->ended()) worker->apply(table_, rules_.generation());
  }
}

// As the Daemon does; each worker follows when its turn comes.
void World::put_in_force() {
  table_ = make_table();
  registry_.bounds().set_limits(rules_.process_limits());
  registry_.apply(rules_.policies());
}

std::shared_ptr<const RoutingTable> World::make_table() {
  auto table = RoutingTable::create(rules_.config(), process_.trust, table_.get());
  stage_.expect(table.has_value(), "a routing table could not be made");
  return *table;
}

// An operator pauses or resumes an upstream, or retires its connections.
void World::use_console() {
  const std::string name = stage_.chance.of<const char*>({"a", "b", "rest"});
  if (stage_.chance.one_in(2)) {
    pause(name, !registry_.is_paused(name));
    return;
  }
  const std::uint64_t below =
      stage_.chance.one_in(2) ? registry_.retire(name).below : registry_.next_connection_id();
  stage_.trace("connections of " + name + " are retired");
  tell_workers([name, below](Worker& worker) {
    while (worker.pool().close_idle(name, below, 2) > 0) continue;
  });
}

void World::pause(const std::string& name, bool paused) {
  stage_.trace(name + (paused ? " is paused" : " is resumed"));
  registry_.set_paused(name, paused);
  tell_workers([name](Worker& worker) { worker.pool().follow_pause(name); });
}

void World::tell_workers(const std::function<void(Worker&)>& what) {
  for (const auto& worker : workers_) {
    if (!worker->ended()) worker->post([what, one = worker.get()] { what(*one); });
  }
}

// An address leaves its name or returns; each worker hears of it in its turn.
void World::move_address() {
  Chance& chance = stage_.chance;
  const std::string host = chance.of<const char*>({"a.test", "b.test"});
  const std::string ip = chance.of<const char*>({"192.0.2.1", "192.0.2.2"});
  const bool leaves = !chance.one_in(3);
  for (const auto& worker : workers_) {
    if (worker->ended()) continue;
    worker->post(
        [this, one = worker.get(), host, ip, leaves] { take_address(*one, host, ip, leaves); });
  }
}

// A worker that has a connection to a place knows it, and marks everybody's there.
bool World::knows(const Worker& worker, const DialTarget& target) const {
  return std::any_of(origins_.begin(), origins_.end(), [&](const auto& origin) {
    const DialTarget& other = origin->dialled().target;
    return origin->open() && origin->socket().worker() == worker.index() &&
           other.host == target.host && other.port == target.port;
  });
}

void World::take_address(Worker& worker, const std::string& host, const std::string& ip,
                         bool leaves) {
  for (const auto& origin : origins_) {
    const Origin::Dialled& dialled = origin->dialled();
    const bool meant = origin->open() && dialled.target.host == host && dialled.ip == ip;
    if (meant && (!leaves || knows(worker, dialled.target))) origin->address_left(leaves);
  }
  const SocketAddress address = *SocketAddress::from_ip(ip, 0);
  stage_.trace(ip + (leaves ? " leaves " : " returns to ") + host);
  if (leaves) {
    worker.pool().on_address_left(host, address);
  } else {
    worker.pool().on_address_returned(host, address);
  }
}

Origin& World::connected(FakePeer& peer, Origin::Dialled dialled) {
  dialled.number = origins_.size() + 1;
  Origin& origin = *origins_.emplace_back(std::make_unique<Origin>(
      stage_, ledger_, rules_, peer, std::move(dialled), connections_closed_));
  sockets_.push_back(&origin.socket());
  return origin;
}

}  // namespace penstock::sim
