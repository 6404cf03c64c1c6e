// One socket on its way to one address.
//
// Owner: a ConnectStage. Thread: its loop's. `done` is called at most once, never inside start(),
// and may destroy the attempt; destroying it before closes the socket and cancels.
#pragma once

#include <optional>
#include <utility>

#include "base/delegate.h"
#include "base/result.h"
#include "event/watcher.h"
#include "net/address.h"
#include "net/dialer.h"
#include "net/unique_fd.h"

namespace penstock {

class Loop;

class ConnectAttempt {
 public:
  using Completion = Delegate<void(ConnectAttempt&, Result<void>)>;

  ConnectAttempt(Loop& loop, const SocketAddress& address, Completion done)
      : loop_(loop), address_(address), done_(done) {}
  ConnectAttempt(const ConnectAttempt&) = delete;
  ConnectAttempt& operator=(const ConnectAttempt&) = delete;

  // True: it is connected already; false: done() will come. An error of ErrorSource::kInternal is
  // our own fault (no descriptors left, source_address is not ours): no other address would help.
  Result<bool> start(const DialTarget& target);

  const SocketAddress& address() const { return address_; }
  // After it has connected.
  UniqueFd take_socket() { return std::move(fd_); }

 private:
  Result<void> open(const DialTarget& target);
  void on_ready(Readiness ready);
  bool connected_to_itself() const;
  Error error(int sys) const;

  Loop& loop_;
  const SocketAddress address_;
  const Completion done_;
  UniqueFd fd_;
  std::optional<Watcher> watcher_;  // ends before fd_
};

}  // namespace penstock
