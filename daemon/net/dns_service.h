// The process' resolver: one cache, one look-up for all who ask for the same name, whatever thread
// they are on. How it works: dns_cache.h (what is kept), dns_lookup.h (how DNS is asked).
//
// A fresh answer is read under one short mutex. Otherwise the asker leaves a DnsTicket with the
// look-up of that name, and its result is posted to the asker's thread (dns_client.h).
//
// /etc/resolv.conf and /etc/hosts are looked at, at most once a second, before DNS is asked; when
// they change, new look-ups go by the new ones and those under way finish on the old. Answers of
// other servers than those now in force are forgotten.
//
// Owner: DnsThread (or a test). Thread: its loop's, but for what is marked "any thread". Ends when
// no client is left and its loop no longer turns.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "event/timer_wheel.h"
#include "net/dns_cache.h"
#include "net/dns_lookup.h"
#include "net/dns_ticket.h"
#include "net/file_stamp.h"
#include "net/hosts_file.h"
#include "net/name_servers.h"

namespace penstock {

class Clock;
class Log;
class Loop;

struct DnsOptions {
  NameServerOptions servers{};
  DnsCacheLimits cache{};
  std::string hosts_file = "/etc/hosts";
};

// How a request for addresses ended.
enum class DnsResult : std::uint8_t {
  kHit,       // a fresh answer was known
  kMiss,      // DNS was asked, and answered
  kStale,     // an expired answer was given, since DNS does not answer
  kNegative,  // the name has no address
  kError,     // DNS did not answer
};
inline constexpr int kDnsResultCount = 5;
std::string_view to_string(DnsResult result);

class DnsService {
 public:
  // More look-ups at a time fail; c-ares numbers its questions with 16 bits.
  static constexpr std::size_t kMaxLookups = 4096;

  struct Outside {
    Loop& loop;  // of the sockets
    const Clock& clock;
    TimerWheel& timers;
    Log& log;
  };

  // Fails when the servers make no sense.
  static Result<std::unique_ptr<DnsService>> create(const Outside& outside,
                                                    const DnsOptions& options);
  DnsService(const DnsService&) = delete;
  DnsService& operator=(const DnsService&) = delete;
  ~DnsService();

  // Any thread. What is known at `now`, counted unless it is nothing; DNS is asked anew in the
  // background where that is due.
  DnsCache::Found find(const std::string& host, MonotonicTime now);
  // Any thread. Answers the ticket once or, when the first answer is not complete, twice.
  void ask(const std::string& host, DnsTicketRef ticket);
  // Any thread. The name counts as in use, as if it was asked for: a host with connections calls
  // this now and then, to hear when its addresses change.
  void keep_fresh(const std::string& host, MonotonicTime now);
  // Any thread. New settings, resolv.conf and the hosts file read anew.
  void reconfigure(const DnsOptions& options);
  // Any thread. Hears of addresses that leave and return, on its own thread, until it is closed.
  void add_mailbox(std::shared_ptr<DnsMailbox> mailbox);
  void remove_mailbox(const DnsMailbox& mailbox);

  // Any thread, for people and metrics.
  std::vector<DnsCache::Row> snapshot(MonotonicTime now, std::size_t max_rows);
  std::uint64_t count(DnsResult result) const;

 private:
  struct Flight;  // a look-up and who waits for it

  DnsService(const Outside& outside, const DnsOptions& options);

  Result<void> read_servers(const DnsOptions& options);
  void read_hosts_file();
  void check_files();
  void apply(const DnsOptions& options);

  DnsCache::Found read_cache(const std::string& host, MonotonicTime now);
  void admit(const std::string& host, DnsTicketRef ticket);
  void refresh(const std::string& host);
  void look_up(const std::string& host, DnsTicketRef ticket);
  Flight* join_flight(const std::string& host);
  void conclude(const std::string& host, const DnsAnswer& answer, const DnsTicketRef& ticket);
  void on_refresh_due();
  void advance_flights();
  void advance(Flight& flight);
  void finish(Flight& finished);
  std::unique_ptr<Flight> take(Flight& flight);
  void store(const std::string& host, const DnsAnswer& answer);
  DnsOutcome outcome_of(const std::string& host, const DnsAnswer& answer, std::size_t waiters);
  void tell(const std::string& host, const std::vector<AddressChange>& changes);
  void schedule_refresh();
  void add_count(DnsResult result, std::size_t times = 1);

  // borrowed: outlive us
  Loop& loop_;
  const Clock& clock_;
  TimerWheel& timers_;
  Log& log_;

  // the loop's thread
  DnsOptions options_;
  HostsFile hosts_;
  FileStamp hosts_stamp_;
  FileStamp resolv_conf_stamp_;
  MonotonicTime files_checked_{};
  std::shared_ptr<NameServers> servers_;
  std::unordered_map<std::string, std::unique_ptr<Flight>> flights_;
  std::vector<std::unique_ptr<Flight>> outdated_;  // ask servers that are no longer in force
  std::vector<Flight*> with_news_;                 // to be advanced
  Deadline refresh_;

  std::mutex mutex_;
  DnsCache cache_;                                      // guarded by mutex_
  std::vector<std::shared_ptr<DnsMailbox>> mailboxes_;  // guarded by mutex_
  std::array<std::atomic<std::uint64_t>, kDnsResultCount> counts_{};
};

}  // namespace penstock
