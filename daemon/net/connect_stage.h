// Addresses to one connected socket, by Happy Eyeballs (RFC 8305 section 5): one attempt after the
// other, the next one when the last one failed or has not answered for a while; the first to
// connect wins, the others are closed.
//
// One limit is over all attempts, from the first one on. Egress is asked about each address right
// before its attempt. Addresses may come in two parts: a stage that has none left waits for the
// second.
//
// Owner: a Dial. Thread: its loop's. A completion is called at most once, perhaps inside start() or
// update(), and may destroy the stage; destroying it before closes every socket and cancels.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "base/result.h"
#include "event/timer_wheel.h"
#include "net/connect_attempt.h"
#include "net/dialer.h"
#include "net/egress.h"
#include "net/resolver.h"
#include "net/unique_fd.h"

namespace penstock {

class Loop;

struct ConnectedSocket {
  UniqueFd fd;
  SocketAddress address;
};

class ConnectStage {
 public:
  // RFC 8305 section 8, Connection Attempt Delay.
  static constexpr Duration kAttemptDelay = std::chrono::milliseconds(250);

  struct Events {
    Delegate<void(Result<ConnectedSocket>)> done;
    // An attempt failed, or one that began later was faster. The stage goes on.
    Delegate<void(const SocketAddress&)> address_failed;
  };

  // `egress` and `target` outlive it.
  ConnectStage(Loop& loop, const EgressPolicy& egress, const DialTarget& target, Events events);
  ConnectStage(const ConnectStage&) = delete;
  ConnectStage& operator=(const ConnectStage&) = delete;

  void start(const AddressList& ordered, bool complete, std::optional<Duration> limit);
  // All addresses there are now, in the order that is to be: those not tried yet follow it.
  void update(const AddressList& ordered, bool complete);

  // Of the last address tried.
  std::optional<int> last_family() const;

 private:
  using Attempt = std::unique_ptr<ConnectAttempt>;

  void set_waiting(const AddressList& ordered);
  void advance();
  bool is_eligible(const SocketAddress& address);
  bool attempt(const SocketAddress& address);
  void on_attempt_ended(ConnectAttempt& attempt, Result<void> result);
  void attempt_failed(const SocketAddress& address, Error error);
  void win(ConnectAttempt& winner);
  void on_delay_over() { advance(); }
  void on_expired();
  void finish(Result<ConnectedSocket> result);
  Error failure() const;
  Error expiry() const;

  Loop& loop_;
  const EgressPolicy& egress_;
  const DialTarget& target_;
  const Events events_;
  std::optional<Duration> limit_;
  Deadline deadline_;      // of all attempts; armed by the first
  Deadline delay_;         // until the next attempt
  bool complete_ = false;  // no further addresses will come
  std::deque<SocketAddress> waiting_;
  AddressList tried_;
  std::vector<Attempt> under_way_;  // in the order they began
  std::optional<Error> error_;      // the most telling one so far
  std::optional<Error> refusal_;    // egress's first
};

}  // namespace penstock
