// DnsService asked by several threads at a time, which cancel at random moments: every asker that
// stays is answered once, none that left is, and the thread sanitizer has nothing to say.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "net/dns_client.h"
#include "net/dns_thread.h"
#include "support/fake_dns.h"
#include "support/loop_runner.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr int kWorkers = 4;
constexpr int kNames = 20;
constexpr int kRequests = 2000;

// A DNS server on a thread of its own.
class DnsServerThread {
 public:
  DnsServerThread() : dns_(loop_) {
    for (int i = 0; i < kNames; ++i) {
      FakeDns::Zone& zone = dns_["n" + std::to_string(i) + ".test"];
      if (i % 5 != 0) zone.addresses = {"192.0.2." + std::to_string(i)};
    }
  }
  ~DnsServerThread() {
    loop_.stop();
    thread_.join();
  }
  std::string address() const { return dns_.address(); }
  void start() {
    thread_ = std::thread([this] { loop_.run(); });
  }

 private:
  Loop loop_;
  FakeDns dns_;
  std::thread thread_;
};

// A loop that asks, cancels a third of what it asked, and stops when the rest was answered.
class AskingWorker {
 public:
  AskingWorker(DnsService& service, unsigned seed)
      : random_(seed), client_(std::make_unique<DnsClient>(service, loop_, loop_)) {}

  void run() {
    post(loop_, [this] { ask(); });
    loop_.run();
    requests_.clear();
  }
  int answered() const { return answered_; }
  void leave() { client_.reset(); }

 private:
  struct Request final : ResolveHandler {
    explicit Request(AskingWorker& owner) : worker(owner) {}
    void on_resolved(const AddressList& addresses, bool complete) override {
      EXPECT_FALSE(addresses.empty());
      if (complete) end();
    }
    void on_resolve_failed(Error) override { end(); }
    void end() {
      EXPECT_FALSE(cancelled || ended);
      ended = true;
      worker.on_ended();
    }
    AskingWorker& worker;
    Pending pending;
    bool cancelled = false;
    bool ended = false;
  };

  void ask() {
    auto& request = *requests_.emplace_back(std::make_unique<Request>(*this));
    auto start = client_->resolve("n" + std::to_string(random_() % kNames) + ".test", request);
    if (auto* pending = std::get_if<Pending>(&start)) {
      request.pending = std::move(*pending);
    } else {
      request.end();
    }
    if (random_() % 3 == 0)
      cancel(*requests_[requests_.size() - 1 - random_() % 3 % requests_.size()]);
    if (requests_.size() < kRequests) post(loop_, [this] { ask(); });
  }
  void cancel(Request& request) {
    if (request.ended || request.cancelled) return;
    request.cancelled = true;
    request.pending.reset();
    on_ended();
  }
  void on_ended() {
    if (++answered_ == kRequests) loop_.stop();
  }

  Loop loop_;
  std::mt19937 random_;
  std::unique_ptr<DnsClient> client_;
  std::vector<std::unique_ptr<Request>> requests_;
  int answered_ = 0;
};

TEST(DnsThreads, AnswerEveryAskerOnceAndNoneThatLeft) {
  DnsServerThread server;
  server.start();
  Log log(LogLevel::kOff);
  DnsOptions options;
  options.servers.servers = {server.address()};
  options.cache = {.min_ttl = 1ms, .max_ttl = 3ms, .negative_ttl = 1ms};
  auto dns = DnsThread::create(options, log);
  ASSERT_TRUE(dns.has_value());
  (*dns)->start();

  // Loops are made and ended on this thread: libuv closes descriptors where the sanitizer does not
  // see it, and takes the next one of that number for the same.
  std::vector<std::unique_ptr<AskingWorker>> workers;
  for (unsigned i = 0; i < kWorkers; ++i)
    workers.push_back(std::make_unique<AskingWorker>((*dns)->service(), i));
  std::vector<std::thread> threads;
  for (const auto& worker : workers) threads.emplace_back([&worker] { worker->run(); });
  for (int i = 0; i < 20; ++i) {  // what the control thread does meanwhile
    (*dns)->service().reconfigure(options);
    (*dns)->service().snapshot(MonotonicTime{}, 100);
    (*dns)->service().keep_fresh("n1.test", MonotonicTime{});
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& worker : workers) EXPECT_EQ(worker->answered(), kRequests);
  for (const auto& worker : workers) worker->leave();
  (*dns)->stop();
}

// Answers that are on their way to a client that has ended.
TEST(DnsThreads, AClientMayEndAtAnyMoment) {
  DnsServerThread server;
  server.start();
  Log log(LogLevel::kOff);
  DnsOptions options;
  options.servers.servers = {server.address()};
  auto dns = DnsThread::create(options, log);
  ASSERT_TRUE(dns.has_value());
  (*dns)->start();
  struct Nobody final : ResolveHandler {
    void on_resolved(const AddressList&, bool) override { ADD_FAILURE(); }
    void on_resolve_failed(Error) override { ADD_FAILURE(); }
  };
  Loop loop;
  Nobody nobody;
  for (int i = 0; i < 200; ++i) {
    DnsClient client((*dns)->service(), loop, loop);
    const auto start = client.resolve("other" + std::to_string(i) + ".test", nobody);
    EXPECT_TRUE(std::holds_alternative<Pending>(start));
    if (i % 10 == 0) LoopRunner(loop).turn();
  }
  (*dns)->stop();
  LoopRunner(loop).turn();
}

}  // namespace
}  // namespace penstock
