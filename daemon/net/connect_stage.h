// Addresses to one connected socket, by Happy Eyeballs (RFC 8305 section 5): one attempt after the
// other, the next one when the last one failed or has not answered for a while; the first to
// connect wins, the others are closed. Of a name with many silent addresses only the last few are
// waited for: the oldest attempt gives way to one too many.
//
// One limit is over all attempts, from the first one on. Egress is asked about each address right
// before its attempt. Addresses may come in two parts: a stage that has none left waits for the
// second. A stage that finds no file descriptor waits for one, within a limit of its own; one that
// has an attempt under way goes on with that.
//
// Owner: a Dial. Thread: its loop's. A completion is called at most once, perhaps inside start() or
// update(), and may destroy the stage; destroying it before closes every socket and cancels.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "base/result.h"
#include "event/timer_wheel.h"
#include "net/connect_attempt.h"
#include "net/descriptor_queue.h"
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

  // Each may be a socket that holds a port and a descriptor until the limit comes.
  static constexpr std::size_t kMostAttempts = 3;

  struct Events {
    Delegate<void(Result<ConnectedSocket>)> done;
    // An attempt failed, or one that began later was faster. The stage goes on.
    Delegate<void(const SocketAddress&)> address_failed;
    // It waits for a descriptor (kQueue), or goes on (kConnect). False: the stage was destroyed.
    Delegate<bool(Phase)> entered;
  };
  struct Outside {
    Loop& loop;
    const EgressPolicy& egress;
    DescriptorQueue& descriptors;
  };

  // What it is given outlives it.
  ConnectStage(const Outside& outside, const DialTarget& target, Events events);
  ConnectStage(const ConnectStage&) = delete;
  ConnectStage& operator=(const ConnectStage&) = delete;

  void start(const AddressList& ordered, bool complete, const DialLimits& limits);
  // All addresses there are now, in the order that is to be: those not tried yet follow it.
  void update(const AddressList& ordered, bool complete);

  // Of the last address tried.
  std::optional<int> last_family() const;

 private:
  using Attempt = std::unique_ptr<ConnectAttempt>;

  // What became of an address: nothing; an attempt, or the end of the stage; no descriptor for it.
  enum class Outcome : std::uint8_t { kFailed, kUnderWay, kShortage };

  void set_waiting(const AddressList& ordered);
  void advance();
  Outcome take_up(const SocketAddress& address);
  Outcome refuse(Error refusal);
  Outcome attempt(const SocketAddress& address);
  void let_oldest_give_way();
  void wait_for_descriptor();
  void go_on();
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
  DescriptorQueue& descriptors_;
  const DialTarget& target_;
  const Events events_;
  DialLimits limits_;
  DescriptorQueue::Place place_;
  MonotonicTime queue_until_ = kNever;  // set by the first shortage
  Deadline deadline_;  // of all attempts; armed by the first. Before: of the wait for a descriptor
  Deadline delay_;     // until the next attempt
  bool complete_ = false;  // no further addresses will come
  std::deque<SocketAddress> waiting_;
  AddressList tried_;
  std::vector<Attempt> under_way_;  // in the order they began
  std::optional<Error> error_;      // the most telling one so far
  std::optional<Error> refusal_;    // egress's first
};

}  // namespace penstock
