#include "net/dial_memory.h"

#include <sys/socket.h>

#include <algorithm>
#include <cassert>

#include "net/address_order.h"

namespace penstock {

namespace {

template <typename Failures>
auto find_failure(Failures& failures, const SocketAddress& address) {
  return std::find_if(failures.begin(), failures.end(),
                      [&](const auto& failure) { return failure.address == address; });
}

}  // namespace

DialMemory::DialMemory(const Clock& clock, std::uint64_t seed, std::size_t most_hosts)
    : clock_(clock),
      most_hosts_(most_hosts),
      random_(static_cast<std::minstd_rand::result_type>(seed ^ (seed >> 32U))) {
  assert(most_hosts > 0);
}

DialMemory::Host& DialMemory::find_or_add(std::string_view name) {
  if (const auto known = index_.find(name); known != index_.end()) {
    hosts_.splice(hosts_.begin(), hosts_, known->second);
    return hosts_.front();
  }
  if (hosts_.size() == most_hosts_) {
    index_.erase(hosts_.back().name);
    hosts_.pop_back();
  }
  hosts_.push_front({std::string(name), random_(), AF_UNSPEC, kNever, {}});
  index_.emplace(hosts_.front().name, hosts_.begin());
  return hosts_.front();
}

std::size_t DialMemory::take_turn(std::string_view host) { return find_or_add(host).next_turn++; }

bool DialMemory::knows_winner(const Host& host) const {
  return host.winner != AF_UNSPEC && clock_.now() < host.won_at + kFamilyKept;
}

AddressList DialMemory::order(std::string_view name, const AddressList& addresses,
                              std::size_t turn) {
  Host& host = find_or_add(name);
  const int family = knows_winner(host) ? host.winner : AF_INET6;
  AddressList order = order_from(family, host, addresses, turn);
  if (order.empty()) return order;
  const auto failure = find_failure(host.failures, order.front());
  if (failure != host.failures.end() && failure->until <= clock_.now()) back_off(*failure);
  return order;
}

AddressList DialMemory::order_after(int tried_family, std::string_view name,
                                    const AddressList& addresses, std::size_t turn) {
  return order_from(other_family(tried_family), find_or_add(name), addresses, turn);
}

AddressList DialMemory::order_from(int family, const Host& host, const AddressList& addresses,
                                   std::size_t turn) const {
  AddressList good;
  AddressList failed;
  for (const SocketAddress& address : addresses) {
    const auto failure = find_failure(host.failures, address);
    const bool backed_off = failure != host.failures.end() && clock_.now() < failure->until;
    (backed_off ? failed : good).push_back(address);
  }
  AddressList order = interleave(good, family, turn);
  const AddressList last = interleave(failed, family, turn);
  order.insert(order.end(), last.begin(), last.end());
  return order;
}

void DialMemory::on_success(std::string_view name, const SocketAddress& address) {
  Host& host = find_or_add(name);
  if (!knows_winner(host) || host.winner != address.family()) {
    host.winner = address.family();
    host.won_at = clock_.now();
  }
  const auto failure = find_failure(host.failures, address);
  if (failure != host.failures.end()) host.failures.erase(failure);
}

void DialMemory::on_failure(std::string_view name, const SocketAddress& address) {
  std::vector<Failure>& failures = find_or_add(name).failures;
  auto failure = find_failure(failures, address);
  if (failure == failures.end()) {
    make_room(failures);
    failure = failures.insert(failures.end(), {address, 0, kNever});
  }
  if (failure->until <= clock_.now()) back_off(*failure);
}

void DialMemory::make_room(std::vector<Failure>& failures) {
  if (failures.size() < kMostFailures) return;
  failures.erase(std::min_element(
      failures.begin(), failures.end(),
      [](const Failure& one, const Failure& other) { return one.until < other.until; }));
}

void DialMemory::back_off(Failure& failure) {
  Duration delay = kFirstBackoff;
  for (int i = 0; i < failure.count && delay < kLongestBackoff; ++i) delay *= 2;
  delay = std::min(delay, kLongestBackoff);
  std::uniform_real_distribution<double> jitter(1 - kJitter, 1 + kJitter);
  failure.until = clock_.now() + std::chrono::duration_cast<Duration>(delay * jitter(random_));
  ++failure.count;
}

}  // namespace penstock
