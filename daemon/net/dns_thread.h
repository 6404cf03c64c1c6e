// The thread of the process' resolver: a loop that DnsService alone lives on.
//
// Owner: the Daemon. Thread: the one that made it calls start() and stop(), which joins; the
// service ends on its own thread, so its clients are gone before.
#pragma once

#include <memory>
#include <thread>

#include "event/loop.h"
#include "net/dns_service.h"

namespace penstock {

class DnsThread {
 public:
  // Fails when the DNS settings cannot be used.
  static Result<std::unique_ptr<DnsThread>> create(const DnsOptions& options, Log& log);
  DnsThread(const DnsThread&) = delete;
  DnsThread& operator=(const DnsThread&) = delete;
  ~DnsThread() { stop(); }

  void start();
  void stop();
  DnsService& service() { return *service_; }

 private:
  DnsThread() = default;
  void run();

  Loop loop_;
  std::unique_ptr<DnsService> service_;
  std::thread thread_;
};

}  // namespace penstock
