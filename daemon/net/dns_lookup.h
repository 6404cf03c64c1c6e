// One look-up of a name by DNS: both families at once, the search list one name after the other.
//
// Each name is given attempt_timeout for each of its tries, of which every server has one; families
// that have not answered by then have timed out. AAAA with addresses may be used at once, A 50 ms
// later (RFC 8305 section 3): until the other family has ended that is a partial answer.
//
// Owner: DnsService. Thread: the DNS loop's. It calls only to say that it wants advance(); where
// c-ares is on the stack, after that, and it does not end before.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "event/timer_wheel.h"
#include "net/dns_answer.h"
#include "net/dns_question.h"
#include "net/name_servers.h"

namespace penstock {

class Clock;

class DnsLookup {
 public:
  // RFC 8305 section 3: how long A waits for AAAA.
  static constexpr Duration kResolutionDelay = std::chrono::milliseconds(50);

  struct Callbacks {
    Delegate<void()> on_answer;  // c-ares may be on the stack
    Delegate<void()> on_timer;
  };
  enum class Progress : std::uint8_t { kNothingNew, kPartial, kDone };

  DnsLookup(const Clock& clock, TimerWheel& timers, std::shared_ptr<NameServers> servers,
            std::string host, const Callbacks& callbacks);

  // Asks for the first name; on_answer() may come inside.
  void start() { ask(); }
  // Takes in what has come, and goes on to the next name where that is due. kPartial comes once.
  Progress advance();

  const std::string& host() const { return host_; }
  // What is known so far; nullptr before kPartial.
  const std::shared_ptr<const AddressList>& partial() const { return partial_; }
  // After kDone.
  DnsAnswer answer() const;

 private:
  void ask();
  void on_question_ended() { callbacks_.on_answer(); }
  void on_limit();
  void on_delay_over();
  Progress offer_partial();
  bool has_no_addresses() const;
  Error error() const;
  Error shortage(const DnsQuestion& question) const;

  const Clock& clock_;
  const std::string host_;
  const std::shared_ptr<NameServers> servers_;
  const std::vector<std::string> names_;
  const Callbacks callbacks_;
  std::size_t next_name_ = 0;
  std::optional<DnsQuestion> ipv6_;
  std::optional<DnsQuestion> ipv4_;
  Deadline limit_;
  Deadline delay_;
  bool delay_over_ = false;
  std::shared_ptr<const AddressList> partial_;
};

}  // namespace penstock
