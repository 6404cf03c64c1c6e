#include "net/net_dialer.h"

#include <cassert>
#include <utility>
#include <variant>

#include "event/loop.h"
#include "net/connect_stage.h"
#include "net/dial_memory.h"
#include "net/dial_stages.h"
#include "net/tcp_stream.h"

namespace penstock {
namespace {

// One dial under way: it moves from stage to stage and is always in one of them, until it tells its
// handler how it ended. The look-up may go on beside the connect stage, for the other family. The
// handler may destroy it in any call.
//
// A handshake that fails ends the dial, though other addresses may be left: what goes wrong there
// (certificate, protocol, a slow server) goes wrong on all addresses of a service, and trying each
// would multiply timeouts.tls_handshake. The address is backed off; the next dial takes another.
//
// Owner: whoever called dial(). Thread: the loop's. The destructor cancels whatever is under way.
class Dial final : public PendingOperation {
 public:
  struct Outside {
    Loop& loop;
    Resolver& resolver;
    DialMemory& memory;
    DescriptorQueue& descriptors;
    std::shared_ptr<const EgressPolicy> egress;
  };
  Dial(Outside outside, std::shared_ptr<const DialTarget> target, const DialLimits& limits,
       DialHandler& handler);
  ~Dial() override;

 private:
  class Start;

  void begin();
  void resolve();
  void on_resolved(Result<ResolvedAddresses> result);
  AddressList order(AddressList addresses);
  void connect(const AddressList& ordered, bool complete);
  void on_address_failed(const SocketAddress& address);
  void on_connected(Result<ConnectedSocket> result);
  void handshake(UniqueFd fd);
  void on_handshaken(Result<std::unique_ptr<TlsStream>> result);
  void succeed(std::unique_ptr<Stream> stream, bool resumed);
  void fail(Error error);
  bool announce(Phase phase);

  Loop& loop_;
  Resolver& resolver_;
  DialMemory& memory_;
  DescriptorQueue& descriptors_;
  const std::shared_ptr<const EgressPolicy> egress_;
  const std::shared_ptr<const DialTarget> target_;
  const DialLimits limits_;
  DialHandler& handler_;       // borrowed: it holds us
  Start* start_ = nullptr;     // in the loop's mailbox until it has run
  bool* destroyed_ = nullptr;  // on the stack of announce()
  SocketAddress address_;
  DialTimes times_;
  bool is_name_ = false;  // of several addresses, perhaps; else there is nothing to remember
  std::size_t turn_ = 0;  // of this dial among those to its name
  std::optional<ResolveStage> look_up_;
  std::variant<std::monostate, ConnectStage, HandshakeStage> stage_;
};

// Takes a new dial to a later turn, so that its handler is never called inside dial().
class Dial::Start final : public Task {
 public:
  explicit Start(Dial& dial) : dial_(&dial) { dial.start_ = this; }
  ~Start() override {
    if (dial_ != nullptr) dial_->start_ = nullptr;
  }
  void run() override {
    if (dial_ == nullptr) return;
    Dial& dial = *dial_;
    cancel();
    dial.start_ = nullptr;
    dial.begin();
  }
  void cancel() { dial_ = nullptr; }

 private:
  Dial* dial_;  // null when the dial has begun or is gone
};

Dial::Dial(Outside outside, std::shared_ptr<const DialTarget> target, const DialLimits& limits,
           DialHandler& handler)
    : loop_(outside.loop),
      resolver_(outside.resolver),
      memory_(outside.memory),
      descriptors_(outside.descriptors),
      egress_(std::move(outside.egress)),
      target_(std::move(target)),
      limits_(limits),
      handler_(handler) {
  loop_.post(std::make_unique<Start>(*this));
}

Dial::~Dial() {
  if (start_ != nullptr) start_->cancel();
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void Dial::begin() {
  times_.started = loop_.now();
  if (!target_->unix_path.empty()) {
    const auto address = SocketAddress::from_unix_path(target_->unix_path);
    if (address) return connect({*address}, true);
    return fail({.code = ErrorCode::kProxyInternalError,
                 .source = ErrorSource::kInternal,
                 .phase = Phase::kConnect,
                 .detail = "the path of the unix socket is too long: " + target_->unix_path});
  }
  if (const auto literal = SocketAddress::from_ip(target_->host, target_->port)) {
    return connect({*literal}, true);
  }
  resolve();
}

void Dial::resolve() {
  is_name_ = true;
  turn_ = memory_.take_turn(target_->host);
  if (!announce(Phase::kResolve)) return;
  const ResolveStage::Events events{
      .done = Delegate<void(Result<ResolvedAddresses>)>::to<&Dial::on_resolved>(*this),
      .entered = Delegate<bool(Phase)>::to<&Dial::announce>(*this)};
  const ResolveStage::Outside outside{loop_, resolver_, descriptors_};
  look_up_.emplace(outside, target_->host, events).start(limits_);
}

// Once with all addresses; or with one family's, and with all while the connect stage is at work.
void Dial::on_resolved(Result<ResolvedAddresses> result) {
  if (!result) return fail(std::move(result).error());
  const bool complete = result->complete;
  if (complete) look_up_.reset();
  const AddressList ordered = order(std::move(result->addresses));
  if (auto* stage = std::get_if<ConnectStage>(&stage_)) return stage->update(ordered, complete);
  times_.resolved = loop_.now();
  connect(ordered, complete);
}

AddressList Dial::order(AddressList addresses) {
  for (SocketAddress& address : addresses) address.set_port(target_->port);
  const auto* stage = std::get_if<ConnectStage>(&stage_);
  const auto tried = stage != nullptr ? stage->last_family() : std::nullopt;
  return tried ? memory_.order_after(*tried, target_->host, addresses, turn_)
               : memory_.order(target_->host, addresses, turn_);
}

void Dial::connect(const AddressList& ordered, bool complete) {
  assert(!ordered.empty());
  if (!announce(Phase::kConnect)) return;
  const ConnectStage::Events events{
      .done = Delegate<void(Result<ConnectedSocket>)>::to<&Dial::on_connected>(*this),
      .address_failed = Delegate<void(const SocketAddress&)>::to<&Dial::on_address_failed>(*this),
      .entered = Delegate<bool(Phase)>::to<&Dial::announce>(*this)};
  const ConnectStage::Outside outside{loop_, *egress_, descriptors_};
  stage_.emplace<ConnectStage>(outside, *target_, events).start(ordered, complete, limits_);
}

void Dial::on_address_failed(const SocketAddress& address) {
  if (is_name_) memory_.on_failure(target_->host, address);
}

void Dial::on_connected(Result<ConnectedSocket> result) {
  look_up_.reset();
  if (!result) return fail(std::move(result).error());
  times_.connected = loop_.now();
  address_ = result->address;
  if (target_->tls != nullptr) return handshake(std::move(result->fd));
  succeed(std::make_unique<TcpStream>(loop_, result->fd.release()), false);
}

void Dial::handshake(UniqueFd fd) {
  if (!announce(Phase::kTlsHandshake)) return;
  auto stream = std::make_unique<TlsStream>(loop_, fd.release(), target_->tls, target_->server_name,
                                            target_->authority_port);
  stage_
      .emplace<HandshakeStage>(loop_, std::move(stream),
                               HandshakeStage::Completion::to<&Dial::on_handshaken>(*this))
      .start(limits_.tls_handshake);
}

void Dial::on_handshaken(Result<std::unique_ptr<TlsStream>> result) {
  if (!result) {
    on_address_failed(address_);
    return fail(std::move(result).error());
  }
  times_.handshaken = loop_.now();
  const bool resumed = (*result)->resumed();
  succeed(*std::move(result), resumed);
}

void Dial::succeed(std::unique_ptr<Stream> stream, bool resumed) {
  if (is_name_) memory_.on_success(target_->host, address_);
  stage_.emplace<std::monostate>();
  handler_.on_dialed(Dialed{
      .stream = std::move(stream), .address = address_, .times = times_, .tls_resumed = resumed});
}

void Dial::fail(Error error) {
  stage_.emplace<std::monostate>();
  handler_.on_dial_failed(std::move(error), times_);
}

// False when the handler destroyed this dial; then nothing of it may be touched.
bool Dial::announce(Phase phase) {
  bool destroyed = false;
  destroyed_ = &destroyed;
  handler_.on_dial_phase(phase);
  if (!destroyed) destroyed_ = nullptr;
  return !destroyed;
}

}  // namespace

NetDialer::NetDialer(Loop& loop, Resolver& resolver, std::shared_ptr<const EgressPolicy> egress,
                     std::uint64_t seed)
    : loop_(loop),
      resolver_(resolver),
      egress_(std::move(egress)),
      memory_(loop, seed),
      descriptors_(loop) {
  assert(egress_ != nullptr);
}

void NetDialer::set_egress(std::shared_ptr<const EgressPolicy> egress) {
  assert(egress != nullptr);
  egress_ = std::move(egress);
}

Pending NetDialer::dial(std::shared_ptr<const DialTarget> target, const DialLimits& limits,
                        DialHandler& handler) {
  return std::make_unique<Dial>(Dial::Outside{loop_, resolver_, memory_, descriptors_, egress_},
                                std::move(target), limits, handler);
}

}  // namespace penstock
