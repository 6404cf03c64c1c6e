#include "net/dns_cache.h"

#include <algorithm>

#include "net/shortage.h"

namespace penstock {

namespace {

// How long before its end an answer is refreshed: time for a slow look-up, and with short TTLs for
// half of their life at the most.
Duration refresh_margin(Duration ttl) {
  return std::max<Duration>(ttl / 10, std::min<Duration>(ttl / 2, std::chrono::seconds(1)));
}

Duration retry_pause(int failures) {
  Duration pause = DnsCache::kFirstRetry;
  for (int i = 1; i < failures && pause < DnsCache::kLastRetry; ++i) pause *= 2;
  return std::min(pause, DnsCache::kLastRetry);
}

}  // namespace

std::string_view to_string(DnsState state) {
  switch (state) {
    case DnsState::kUnknown:
      return "expired";
    case DnsState::kFresh:
      return "fresh";
    case DnsState::kStale:
      return "stale";
    case DnsState::kNegative:
      return "negative";
    case DnsState::kFailed:
      return "failed";
  }
  return "";
}

// Either addresses or an error are known, or neither: then the answer was forgotten.
struct DnsCache::Entry : ListNode<> {
  explicit Entry(std::string name) : host(std::move(name)) {}

  const std::string host;
  std::shared_ptr<const AddressList> addresses{};
  std::optional<Error> error{};
  bool negative = false;
  std::string last_error{};      // of the last look-up that failed, since the last good one
  MonotonicTime expires{};       // what is known does
  MonotonicTime refresh_at{};    // from then on an asker makes us look it up anew
  MonotonicTime due = kForever;  // under which it is filed
  MonotonicTime last_used{};
  bool in_use = false;
  bool refreshing = false;  // a look-up was asked for and has not ended
  int failures = 0;         // in a row
  AddressHistory history{};
};

DnsCache::DnsCache(const DnsCacheLimits& limits) : limits_(limits) {}

DnsCache::~DnsCache() {
  while (by_use_.pop_front() != nullptr) continue;
}

DnsCache::Found DnsCache::find(const std::string& host, MonotonicTime now) {
  Entry* entry = entry_of(host);
  if (entry == nullptr) return {};
  touch(*entry, now);
  Found found{.state = state_of(*entry, now)};
  switch (found.state) {
    case DnsState::kUnknown:
      break;
    case DnsState::kFresh:
    case DnsState::kStale:
      found.addresses = entry->addresses;
      if (now >= entry->refresh_at) found.refresh = !std::exchange(entry->refreshing, true);
      break;
    case DnsState::kNegative:
    case DnsState::kFailed:
      found.error = entry->error;
      break;
  }
  return found;
}

bool DnsCache::keep_fresh(const std::string& host, MonotonicTime now) {
  const Found found = find(host, now);
  return found.refresh || found.state == DnsState::kUnknown;
}

DnsState DnsCache::state_of(const Entry& entry, MonotonicTime now) const {
  if (entry.addresses != nullptr) {
    if (now < entry.expires) return DnsState::kFresh;
    return is_servable(entry, now) ? DnsState::kStale : DnsState::kUnknown;
  }
  if (!entry.error || now >= entry.expires) return DnsState::kUnknown;
  return entry.negative ? DnsState::kNegative : DnsState::kFailed;
}

bool DnsCache::is_servable(const Entry& entry, MonotonicTime now) const {
  if (now < entry.expires) return true;
  return entry.failures > 0 && limits_.serve_stale && now < entry.expires + *limits_.serve_stale;
}

// The history outlasts the answer, or an address that returns would not be known as one that left.
MonotonicTime DnsCache::end_of_life(const Entry& entry) const {
  MonotonicTime end = entry.expires;
  if (entry.addresses != nullptr && limits_.serve_stale) end += *limits_.serve_stale;
  if (!entry.history.empty() && limits_.forget_after)
    end = std::max(end, entry.last_used + *limits_.forget_after);
  return end;
}

DnsCache::Entry* DnsCache::entry_of(const std::string& host) {
  const auto found = entries_.find(host);
  return found == entries_.end() ? nullptr : found->second.get();
}

DnsCache::Entry& DnsCache::make_entry(const std::string& host, MonotonicTime now) {
  if (Entry* known = entry_of(host)) return *known;
  while (!entries_.empty() && entries_.size() >= limits_.max_names) forget(by_use_.back());
  Entry& entry = *entries_.emplace(host, std::make_unique<Entry>(host)).first->second;
  entry.last_used = now;
  by_use_.push_front(entry);
  return entry;
}

void DnsCache::touch(Entry& entry, MonotonicTime now) {
  entry.in_use = true;
  entry.last_used = now;
  entry.unlink();
  by_use_.push_front(entry);
}

void DnsCache::file(Entry& entry, MonotonicTime due) {
  if (entry.due != kForever) due_.erase({entry.due, &entry});
  entry.due = due;
  if (due != kForever) due_.emplace(due, &entry);
}

void DnsCache::forget(Entry& entry) {
  file(entry, kForever);
  entry.unlink();
  entries_.erase(entries_.find(entry.host));
}

std::vector<AddressChange> DnsCache::store(const std::string& host, const DnsAnswer& answer,
                                           MonotonicTime now) {
  Entry& entry = make_entry(host, now);
  entry.refreshing = false;
  if (!answer.error) return store_addresses(entry, answer, now);
  entry.last_error = answer.error->detail;
  answer.negative ? store_negative(entry, answer, now) : store_failure(entry, answer, now);
  return {};
}

std::vector<AddressChange> DnsCache::store_addresses(Entry& entry, const DnsAnswer& answer,
                                                     MonotonicTime now) {
  const Duration ttl = kept_for(answer);
  entry.addresses = std::make_shared<const AddressList>(answer.addresses);
  entry.error.reset();
  entry.last_error.clear();
  entry.failures = 0;
  entry.in_use = false;
  entry.expires = now + ttl;
  entry.refresh_at = entry.expires - refresh_margin(ttl);
  file(entry, entry.refresh_at);
  if (!limits_.forget_after) return {};
  return entry.history.update(answer, *limits_.forget_after, now);
}

Duration DnsCache::kept_for(const DnsAnswer& answer) const {
  if (answer.from_hosts_file) return kHostsFileTtl;
  return std::clamp(answer.ttl, limits_.min_ttl, limits_.max_ttl);
}

void DnsCache::store_negative(Entry& entry, const DnsAnswer& answer, MonotonicTime now) {
  entry.addresses.reset();
  entry.error = answer.error;
  entry.negative = true;
  entry.failures = 0;
  entry.expires = now + limits_.negative_ttl.value_or(Duration::zero());
  file(entry, end_of_life(entry));
}

void DnsCache::store_failure(Entry& entry, const DnsAnswer& answer, MonotonicTime now) {
  ++entry.failures;
  entry.refresh_at = now + retry_pause(entry.failures);
  if (entry.addresses != nullptr && is_servable(entry, now)) {
    file(entry, entry.refresh_at);
    return;
  }
  const bool passes =
      answer.error->code == ErrorCode::kDnsTimeout || is_shortage(answer.error->sys);
  const Duration hold = limits_.negative_ttl.value_or(Duration::zero());
  entry.addresses.reset();
  entry.error = answer.error;
  entry.negative = false;
  entry.expires = passes ? now : now + std::min(hold, kFailureHold);
  file(entry, end_of_life(entry));
}

std::vector<std::string> DnsCache::take_due(MonotonicTime now) {
  std::vector<std::string> to_look_up;
  while (next_due() <= now) {
    Entry& entry = *due_.begin()->second;
    const MonotonicTime end = end_of_life(entry);
    if (entry.in_use && !entry.error) {
      entry.refreshing = true;
      file(entry, kForever);  // until its look-up has ended
      to_look_up.push_back(entry.host);
    } else if (now >= end) {
      forget(entry);
    } else {
      file(entry, end);
    }
  }
  return to_look_up;
}

void DnsCache::invalidate_all(MonotonicTime now) {
  for (const auto& [host, entry] : entries_) forget_answer(*entry, now);
}

void DnsCache::invalidate(const std::string& host, MonotonicTime now) {
  if (Entry* entry = entry_of(host)) forget_answer(*entry, now);
}

void DnsCache::forget_answer(Entry& entry, MonotonicTime now) {
  entry.addresses.reset();
  entry.error.reset();
  entry.last_error.clear();
  entry.failures = 0;
  entry.refreshing = false;
  entry.expires = now;
  file(entry, entry.in_use ? now : std::max(now, end_of_life(entry)));
}

std::vector<DnsCache::Row> DnsCache::snapshot(MonotonicTime now, std::size_t max_rows) {
  std::vector<Row> rows;
  for (const Entry& entry : by_use_) {
    if (rows.size() == max_rows) break;
    rows.push_back(row_of(entry, now));
  }
  return rows;
}

DnsCache::Row DnsCache::row_of(const Entry& entry, MonotonicTime now) const {
  Row row{.host = entry.host,
          .state = state_of(entry, now),
          .addresses = {},
          .expires_in = entry.expires - now,
          .last_error = entry.last_error};
  if (entry.addresses == nullptr) return row;
  for (const SocketAddress& address : *entry.addresses) row.addresses.push_back(address.ip());
  return row;
}

}  // namespace penstock
