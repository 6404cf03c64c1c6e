// A c-ares channel on our loop that asks one name server, each question once: its sockets are
// watched, its timeouts kept by a Deadline. Which server is asked when is NameServers' business, so
// that c-ares' own order of servers and its doubled timeouts play no part.
//
// Owner: NameServers. Thread: its loop's. The callback of a question is called inside ask(), or
// inside the loop's callbacks; on_progress follows the latter, when c-ares is no longer on the
// stack and the channel may be destroyed. The destructor drops what is in flight (the callbacks are
// called inside it, with ARES_EDESTRUCTION).
#pragma once

#include <ares.h>

#include <memory>
#include <string>
#include <vector>

#include "base/delegate.h"
#include "base/result.h"
#include "event/timer_wheel.h"

namespace penstock {

class Loop;

class CaresChannel {
 public:
  static Result<std::unique_ptr<CaresChannel>> create(Loop& loop, ares_addr_port_node server,
                                                      Duration timeout,
                                                      Delegate<void()> on_progress);
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;
  ~CaresChannel();

  // `type`: of the records (RFC 1035 section 3.2.2). An answer that was cut is asked for by TCP.
  void ask(const std::string& name, int type, ares_callback on_answer, void* context);
  // Inside the callback of a question that failed: why no socket was to be had, where that passes
  // (is_shortage()); else 0.
  int shortage() const { return shortage_; }

 private:
  class Socket;

  CaresChannel(Loop& loop, Delegate<void()> on_progress);
  static const ares_socket_functions kSocketFunctions;
  static ares_socket_t open_socket(int family, int type, int protocol, void* self);
  static void on_socket_state(void* self, ares_socket_t fd, int readable, int writable);
  void watch(ares_socket_t fd, bool readable, bool writable);
  void process(ares_socket_t readable, ares_socket_t writable);
  void on_timeout() { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }
  void schedule_timeout();

  Loop& loop_;  // borrowed: outlives what is watched on it
  const Delegate<void()> on_progress_;
  ares_channel channel_ = nullptr;
  int shortage_ = 0;
  std::vector<std::unique_ptr<Socket>> sockets_;
  Deadline timeout_;
};

}  // namespace penstock
