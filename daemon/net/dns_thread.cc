#include "net/dns_thread.h"

#include <utility>

namespace penstock {

Result<std::unique_ptr<DnsThread>> DnsThread::create(const DnsOptions& options, Log& log) {
  std::unique_ptr<DnsThread> thread(new DnsThread);
  Loop& loop = thread->loop_;
  auto service = DnsService::create({loop, loop, loop.timers(), log}, options);
  if (!service) return Unexpected{std::move(service).error()};
  thread->service_ = *std::move(service);
  return thread;
}

void DnsThread::start() {
  thread_ = std::thread([this] { run(); });
}

void DnsThread::run() {
  loop_.run();
  service_.reset();
}

void DnsThread::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

}  // namespace penstock
