// What is known about names, for how long, and what is to be asked anew when: a value, without
// I/O, clock or lock of its own.
//
// A name is *in use* when it was asked for, or kept fresh, since its last answer; then it comes up
// in take_due() shortly before its answer expires, so that nobody waits for DNS a second time.
// While such look-ups fail they are repeated with a growing pause, and for `serve_stale` after
// its end the expired answer is handed out; an answer that merely expired never is.
//
// Owner: DnsService, which guards it with a mutex.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/intrusive_list.h"
#include "base/time.h"
#include "net/address_history.h"
#include "net/dns_answer.h"

namespace penstock {

struct DnsCacheLimits {
  Duration min_ttl = std::chrono::seconds(1);
  Duration max_ttl = std::chrono::minutes(5);
  std::optional<Duration> negative_ttl = std::chrono::seconds(5);   // nullopt: not kept
  std::optional<Duration> serve_stale = std::chrono::hours(1);      // nullopt: never
  std::optional<Duration> forget_after = std::chrono::minutes(10);  // nullopt: not followed
  std::size_t max_names = 10'000;  // beyond it the name goes that was asked for longest ago
};

enum class DnsState : std::uint8_t {
  kUnknown,   // DNS has to be asked
  kFresh,     // addresses
  kStale,     // addresses that have expired, while DNS does not answer
  kNegative,  // an error: the name has no address
  kFailed,    // an error: a moment ago DNS gave none
};
std::string_view to_string(DnsState state);

class DnsCache {
 public:
  // The pause between failed look-ups of one name: doubled from the first to the last.
  static constexpr Duration kFirstRetry = std::chrono::seconds(1);
  static constexpr Duration kLastRetry = std::chrono::seconds(30);
  // How long a failure that came at once (SERVFAIL, nobody listens) spares DNS the same question.
  // A timeout is not held: the look-up itself took long enough, and all who ask share it.
  static constexpr Duration kFailureHold = std::chrono::seconds(1);
  // The hosts file costs no query: it is looked at often.
  static constexpr Duration kHostsFileTtl = std::chrono::seconds(1);

  struct Found {
    DnsState state = DnsState::kUnknown;
    std::shared_ptr<const AddressList> addresses{};  // kFresh, kStale
    std::optional<Error> error{};                    // kNegative, kFailed
    bool refresh = false;  // whoever reads this looks the name up anew; said to one caller
  };
  struct Row {
    std::string host;
    DnsState state;
    std::vector<std::string> addresses;
    Duration expires_in;  // negative: expired so long ago
    std::string last_error;
  };

  explicit DnsCache(const DnsCacheLimits& limits);
  DnsCache(const DnsCache&) = delete;
  DnsCache& operator=(const DnsCache&) = delete;
  ~DnsCache();

  // Of answers that come from now on.
  void set_limits(const DnsCacheLimits& limits) { limits_ = limits; }

  // What is known now. Asking is using.
  Found find(const std::string& host, MonotonicTime now);
  // As if it was asked for. True: the caller is to look it up.
  [[nodiscard]] bool keep_fresh(const std::string& host, MonotonicTime now);

  // A look-up has ended. Which addresses have left the name or returned to it.
  std::vector<AddressChange> store(const std::string& host, const DnsAnswer& answer,
                                   MonotonicTime now);

  // The names to look up now. Those that nobody asks for any more are forgotten on the way.
  std::vector<std::string> take_due(MonotonicTime now);
  // When take_due() has something to do; kForever: never.
  MonotonicTime next_due() const { return due_.empty() ? kForever : due_.begin()->first; }

  // The answers came from other servers, or the hosts file knows better now. Names in use are due.
  void invalidate_all(MonotonicTime now);
  void invalidate(const std::string& host, MonotonicTime now);

  std::size_t size() const { return entries_.size(); }
  // At most `max_rows`, those asked for last.
  std::vector<Row> snapshot(MonotonicTime now, std::size_t max_rows);

 private:
  struct Entry;

  DnsState state_of(const Entry& entry, MonotonicTime now) const;
  bool is_servable(const Entry& entry, MonotonicTime now) const;
  MonotonicTime end_of_life(const Entry& entry) const;
  Duration kept_for(const DnsAnswer& answer) const;
  Entry* entry_of(const std::string& host);
  Entry& make_entry(const std::string& host, MonotonicTime now);
  void touch(Entry& entry, MonotonicTime now);
  void file(Entry& entry, MonotonicTime due);
  void forget(Entry& entry);
  void forget_answer(Entry& entry, MonotonicTime now);
  std::vector<AddressChange> store_addresses(Entry& entry, const DnsAnswer& answer,
                                             MonotonicTime now);
  void store_negative(Entry& entry, const DnsAnswer& answer, MonotonicTime now);
  void store_failure(Entry& entry, const DnsAnswer& answer, MonotonicTime now);
  Row row_of(const Entry& entry, MonotonicTime now) const;

  DnsCacheLimits limits_;
  std::unordered_map<std::string, std::unique_ptr<Entry>> entries_;
  IntrusiveList<Entry> by_use_;                     // the one asked for last comes first
  std::set<std::pair<MonotonicTime, Entry*>> due_;  // of entries that are due at all
};

}  // namespace penstock
