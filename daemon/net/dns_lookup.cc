#include "net/dns_lookup.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "config/values.h"
#include "event/clock.h"

namespace penstock {

DnsLookup::DnsLookup(const Clock& clock, TimerWheel& timers, std::shared_ptr<NameServers> servers,
                     std::string host, const Callbacks& callbacks)
    : clock_(clock),
      host_(std::move(host)),
      servers_(std::move(servers)),
      names_(servers_->candidates(host_)),
      callbacks_(callbacks),
      limit_(timers, Delegate<void()>::to<&DnsLookup::on_limit>(*this)),
      delay_(timers, Delegate<void()>::to<&DnsLookup::on_delay_over>(*this)) {}

// The limit is two ticks longer, so that a timeouts.resolve of the same length is the one that
// fires: a deadline of another loop is up to a tick and a millisecond late.
void DnsLookup::ask() {
  const std::string& name = names_[next_name_++];
  limit_.arm(clock_.now() + servers_->time_limit() + 2 * TimerWheel::kTick);
  const auto on_end = Delegate<void()>::to<&DnsLookup::on_question_ended>(*this);
  ipv6_.emplace(servers_, name, AF_INET6, on_end);
  ipv4_.emplace(servers_, name, AF_INET, on_end);
  ipv6_->start();
  ipv4_->start();
}

void DnsLookup::on_limit() {
  ipv6_->give_up();
  ipv4_->give_up();
  callbacks_.on_timer();
}

void DnsLookup::on_delay_over() {
  delay_over_ = true;
  callbacks_.on_timer();
}

DnsLookup::Progress DnsLookup::advance() {
  if (!ipv6_->ended() || !ipv4_->ended()) return offer_partial();
  limit_.cancel();
  delay_.cancel();
  if (!has_no_addresses() || next_name_ == names_.size()) return Progress::kDone;
  ask();
  return Progress::kNothingNew;
}

DnsLookup::Progress DnsLookup::offer_partial() {
  if (partial_ != nullptr) return Progress::kNothingNew;
  const bool has_ipv6 = ipv6_->state() == QuestionState::kAddresses;
  const bool has_ipv4 = ipv4_->state() == QuestionState::kAddresses;
  if (!has_ipv6 && !has_ipv4) return Progress::kNothingNew;
  if (has_ipv4 && !delay_over_) {
    if (!delay_.armed()) delay_.arm(clock_.now() + kResolutionDelay);
    return Progress::kNothingNew;
  }
  partial_ = std::make_shared<const AddressList>((has_ipv6 ? ipv6_ : ipv4_)->addresses());
  return Progress::kPartial;
}

// As the system's resolver, the next name is tried when this one has no addresses. One that could
// not be looked up may well exist: to go on would ask another domain for a host of this one.
bool DnsLookup::has_no_addresses() const {
  using enum QuestionState;
  const QuestionState a = ipv6_->state();
  const QuestionState b = ipv4_->state();
  if (a == kAddresses || b == kAddresses) return false;
  return a == kNoSuchName || b == kNoSuchName || (a == kNoAddresses && b == kNoAddresses);
}

DnsAnswer DnsLookup::answer() const {
  DnsAnswer answer;
  for (const auto* question : {&*ipv6_, &*ipv4_}) {
    const AddressList& found = question->addresses();
    if (found.empty()) continue;
    answer.ttl = answer.addresses.empty() ? question->ttl() : std::min(answer.ttl, question->ttl());
    answer.addresses.insert(answer.addresses.end(), found.begin(), found.end());
  }
  const auto answered = [](QuestionState state) {
    return state != QuestionState::kFailed && state != QuestionState::kTimedOut &&
           state != QuestionState::kShortage;
  };
  answer.ipv6_answered = answered(ipv6_->state());
  answer.ipv4_answered = answered(ipv4_->state());
  if (!answer.addresses.empty()) return answer;
  answer.error = error();
  answer.negative = has_no_addresses();
  return answer;
}

// The states that say most come first.
Error DnsLookup::error() const {
  using enum QuestionState;
  for (const QuestionState state : {kNoSuchName, kShortage, kTimedOut, kFailed, kNoAddresses}) {
    if (ipv6_->state() != state && ipv4_->state() != state) continue;
    const DnsQuestion& question = ipv4_->state() == state ? *ipv4_ : *ipv6_;
    if (state == kShortage) return shortage(question);
    const bool timed_out = state == kTimedOut;
    const std::string within = timed_out ? " in " + format_duration(servers_->time_limit()) : "";
    return {.code = timed_out ? ErrorCode::kDnsTimeout : ErrorCode::kDnsError,
            .phase = Phase::kResolve,
            .limit_key = timed_out ? "dns.attempt_timeout" : "",
            .detail = "cannot resolve " + host_ + ": " + question.reason() + within};
  }
  return {.code = ErrorCode::kDnsError, .phase = Phase::kResolve};
}

Error DnsLookup::shortage(const DnsQuestion& question) const {
  return {.code = ErrorCode::kConnectionLimitReached,
          .source = ErrorSource::kInternal,
          .phase = Phase::kResolve,
          .sys = question.sys(),
          .detail = "cannot resolve " + host_ + ": " + question.reason()};
}

}  // namespace penstock
