#include "net/connect_stage.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "event/loop.h"
#include "net/shortage.h"

namespace penstock {

namespace {

// How many addresses a message names.
constexpr std::size_t kMostNamed = 3;

// Who answers, if only to refuse, says more than silence, and silence more than a missing route.
int telling(const Error& error) {
  switch (error.code) {
    case ErrorCode::kConnectionRefused:
      return 3;
    case ErrorCode::kConnectionTerminated:
      return 2;
    case ErrorCode::kConnectionTimeout:
      return 1;
    default:
      return 0;
  }
}

std::string names_of(const AddressList& addresses) {
  std::string text;
  for (std::size_t i = 0; i < std::min(addresses.size(), kMostNamed); ++i) {
    text += (i == 0 ? "" : ", ") + addresses[i].to_string();
  }
  if (addresses.size() <= kMostNamed) return text;
  return text + " and " + std::to_string(addresses.size() - kMostNamed) + " more";
}

}  // namespace

ConnectStage::ConnectStage(const Outside& outside, const DialTarget& target, Events events)
    : loop_(outside.loop),
      egress_(outside.egress),
      descriptors_(outside.descriptors),
      target_(target),
      events_(events),
      place_(Delegate<void()>::to<&ConnectStage::go_on>(*this)),
      deadline_(loop_.timers(), Delegate<void()>::to<&ConnectStage::on_expired>(*this)),
      delay_(loop_.timers(), Delegate<void()>::to<&ConnectStage::on_delay_over>(*this)) {}

void ConnectStage::start(const AddressList& ordered, bool complete, const DialLimits& limits) {
  limits_ = limits;
  complete_ = complete;
  set_waiting(ordered);
  if (!descriptors_.empty()) return wait_for_descriptor();
  advance();
}

// The delay goes on where an attempt is under way: late addresses wait their turn.
void ConnectStage::update(const AddressList& ordered, bool complete) {
  complete_ = complete;
  set_waiting(ordered);
  if (delay_.armed() || place_.is_linked()) return;
  advance();
}

void ConnectStage::set_waiting(const AddressList& ordered) {
  waiting_.clear();
  for (const SocketAddress& address : ordered) {
    const bool tried = std::ranges::find(tried_, address) != tried_.end();
    const bool twice = std::ranges::find(waiting_, address) != waiting_.end();
    if (!tried && !twice) waiting_.push_back(address);
  }
}

std::optional<int> ConnectStage::last_family() const {
  if (tried_.empty()) return std::nullopt;
  return tried_.back().family();
}

// Begins the next attempt; the stage has ended, or it waits for an attempt, for addresses or for a
// descriptor.
void ConnectStage::advance() {
  while (!waiting_.empty()) {
    const SocketAddress address = waiting_.front();
    waiting_.pop_front();
    switch (take_up(address)) {
      case Outcome::kUnderWay:
        return;
      case Outcome::kShortage:
        waiting_.push_front(address);
        return wait_for_descriptor();
      case Outcome::kFailed:
        break;
    }
  }
  if (under_way_.empty() && complete_) finish(Unexpected{failure()});
}

ConnectStage::Outcome ConnectStage::take_up(const SocketAddress& address) {
  const auto& source = target_.source_address;
  const bool is_unix = address.family() == AF_UNIX;
  if (!is_unix && source && source->family() != address.family()) return Outcome::kFailed;
  auto allowed = egress_.check(address, target_.scope);
  return allowed ? attempt(address) : refuse(std::move(allowed).error());
}

ConnectStage::Outcome ConnectStage::refuse(Error refusal) {
  if (is_shortage(refusal.sys)) return Outcome::kShortage;
  if (!refusal_) refusal_ = std::move(refusal);
  return Outcome::kFailed;
}

ConnectStage::Outcome ConnectStage::attempt(const SocketAddress& address) {
  auto attempt = std::make_unique<ConnectAttempt>(
      loop_, address, ConnectAttempt::Completion::to<&ConnectStage::on_attempt_ended>(*this));
  auto connected = attempt->start(target_);
  if (!connected && is_shortage(connected.error().sys)) return Outcome::kShortage;
  if (tried_.empty() && limits_.connect) deadline_.arm(loop_.now() + *limits_.connect);
  tried_.push_back(address);
  if (!connected && connected.error().source == ErrorSource::kInternal) {
    finish(Unexpected{std::move(connected).error()});
    return Outcome::kUnderWay;
  }
  if (!connected) {
    attempt_failed(address, std::move(connected).error());
    return Outcome::kFailed;
  }
  under_way_.push_back(std::move(attempt));
  if (*connected) {
    win(*under_way_.back());
  } else {
    if (under_way_.size() > kMostAttempts) let_oldest_give_way();
    delay_.arm(loop_.now() + kAttemptDelay);
  }
  return Outcome::kUnderWay;
}

// It has had a delay for itself and one for each that followed.
void ConnectStage::let_oldest_give_way() {
  const SocketAddress address = under_way_.front()->address();
  under_way_.erase(under_way_.begin());
  attempt_failed(address, {.code = ErrorCode::kConnectionTimeout,
                           .phase = Phase::kConnect,
                           .detail = "no answer from " + address.to_string() +
                                     " before further addresses had to be tried"});
}

// All waits of a dial together have timeouts.queue, as that of a request that has no dial yet. Once
// an attempt was made the limit of those runs, and goes on.
void ConnectStage::wait_for_descriptor() {
  if (!under_way_.empty()) return delay_.arm(loop_.now() + kAttemptDelay);
  if (queue_until_ == kNever)
    queue_until_ = limits_.queue ? loop_.now() + *limits_.queue : kForever;
  if (tried_.empty()) deadline_.arm(queue_until_);
  descriptors_.join(place_);
  static_cast<void>(events_.entered(Phase::kQueue));  // destroyed or not, nothing follows
}

void ConnectStage::go_on() {
  if (tried_.empty()) deadline_.cancel();
  if (events_.entered(Phase::kConnect)) advance();
}

void ConnectStage::on_attempt_ended(ConnectAttempt& attempt, Result<void> result) {
  if (result) return win(attempt);
  const bool was_last_begun = under_way_.back().get() == &attempt;
  const SocketAddress address = attempt.address();
  std::erase_if(under_way_, [&](const Attempt& one) { return one.get() == &attempt; });
  attempt_failed(address, std::move(result).error());
  if (!was_last_begun) return;
  delay_.cancel();
  advance();
}

void ConnectStage::attempt_failed(const SocketAddress& address, Error error) {
  if (!error_ || telling(error) >= telling(*error_)) error_ = std::move(error);
  events_.address_failed(address);
}

// Those that began before the winner had more time than it and said nothing.
void ConnectStage::win(ConnectAttempt& winner) {
  for (const Attempt& slower : under_way_) {
    if (slower.get() == &winner) break;
    events_.address_failed(slower->address());
  }
  finish(ConnectedSocket{winner.take_socket(), winner.address()});
}

void ConnectStage::on_expired() {
  for (const Attempt& silent : under_way_) events_.address_failed(silent->address());
  finish(Unexpected{under_way_.empty() ? failure() : expiry()});
}

void ConnectStage::finish(Result<ConnectedSocket> result) {
  deadline_.cancel();
  delay_.cancel();
  place_.unlink();
  under_way_.clear();
  events_.done(std::move(result));
}

Error ConnectStage::failure() const {
  if (error_) {
    Error error = *error_;
    if (tried_.size() > 1) error.detail += " (tried " + names_of(tried_) + ')';
    return error;
  }
  if (place_.is_linked()) return no_descriptor("for a connection to " + target_.host);
  if (refusal_) return *refusal_;
  // source_address left none over: resolvers and literals give at least one.
  return {.code = ErrorCode::kDestinationIpUnroutable,
          .phase = Phase::kConnect,
          .detail = target_.host + " has no address of the family of source_address " +
                    target_.source_address->ip()};
}

Error ConnectStage::expiry() const {
  return {.code = ErrorCode::kConnectionTimeout,
          .phase = Phase::kConnect,
          .limit_key = "timeouts.connect",
          .detail = "no connection to " + names_of(tried_) + " within the limit"};
}

}  // namespace penstock
