// A c-ares channel on our loop: its sockets are watched, its timeouts kept by a Deadline.
//
// Owner: CaresResolver. Thread: its loop's. The answer callback of a query is called inside
// query(), or inside the loop's callbacks; on_progress follows the latter, when c-ares is no
// longer on the stack and the channel may be destroyed. The destructor drops what is in flight
// (their callbacks are called inside it, with ARES_EDESTRUCTION).
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

struct CaresOptions {
  std::vector<std::string> servers{};                  // address[:port]; empty: the system's
  Duration attempt_timeout = std::chrono::seconds(1);  // doubled with each round of the servers
  std::uint32_t attempts = 2;
  bool search_domains = false;  // complete names by the system's search list
};

class CaresChannel {
 public:
  static Result<std::unique_ptr<CaresChannel>> create(Loop& loop, const CaresOptions& options,
                                                      Delegate<void()> on_progress);
  CaresChannel(const CaresChannel&) = delete;
  CaresChannel& operator=(const CaresChannel&) = delete;
  ~CaresChannel();

  // Looks up addresses of both families, the hosts file first.
  void query(const std::string& host, ares_addrinfo_callback on_answer, void* context);

 private:
  class Socket;

  CaresChannel(Loop& loop, Delegate<void()> on_progress);
  static void on_socket_state(void* self, ares_socket_t fd, int readable, int writable);
  void watch(ares_socket_t fd, bool readable, bool writable);
  void process(ares_socket_t readable, ares_socket_t writable);
  void on_timeout() { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }
  void schedule_timeout();

  Loop& loop_;  // borrowed: outlives what is watched on it
  const Delegate<void()> on_progress_;
  ares_channel channel_ = nullptr;
  std::vector<std::unique_ptr<Socket>> sockets_;
  Deadline timeout_;
};

}  // namespace penstock
