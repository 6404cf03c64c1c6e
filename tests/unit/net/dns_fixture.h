// What the tests of DnsService stand on: a DNS server and the service on one loop, files of its own
// for resolv.conf and hosts, and a clock that the test turns. Only c-ares' attempts take real time.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "base/log.h"
#include "net/dns_client.h"
#include "net/dns_service.h"
#include "support/fake_dns.h"
#include "support/loop_runner.h"
#include "support/manual_clock.h"

namespace penstock {

using Ips = std::set<std::string>;

// One resolve() and its end.
struct Asker final : ResolveHandler {
  void ask(Resolver& resolver, const std::string& host) {
    auto start = resolver.resolve(host, *this);
    at_once = !std::holds_alternative<Pending>(start);
    if (auto* known = std::get_if<AddressList>(&start)) {
      take(*known, true);
    } else if (auto* failed = std::get_if<Error>(&start)) {
      fail(std::move(*failed));
    } else {
      pending = std::get<Pending>(std::move(start));
    }
  }
  void on_resolved(const AddressList& found, bool complete) override {
    take(found, complete);
    const auto action = then;
    if (action) action();
  }
  void on_resolve_failed(Error failed) override {
    fail(std::move(failed));
    const auto action = then;
    if (action) action();
  }
  void take(const AddressList& found, bool complete) {
    EXPECT_EQ(ends, 0) << "told after the end";
    complete ? ++ends : ++partials;
    ips.clear();
    for (const SocketAddress& address : found) {
      EXPECT_EQ(address.port(), 0);
      ips.insert(address.ip());
    }
  }
  void fail(Error failed) {
    EXPECT_EQ(ends + partials, 0) << "failed after it had addresses";
    ++ends;
    error = std::move(failed);
  }

  Pending pending;
  bool at_once = false;
  int partials = 0;
  int ends = 0;
  Ips ips;
  std::optional<Error> error;
  std::function<void()> then;
};

class DnsServiceTest : public testing::Test {
 protected:
  static constexpr int kA = 1;
  static constexpr int kAaaa = 28;

  DnsServiceTest() {
    std::string name = testing::TempDir() + "dns-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    options_.servers.servers = {dns_.address()};
    options_.servers.resolv_conf = folder_ / "resolv.conf";
    options_.hosts_file = folder_ / "hosts";
    write("resolv.conf", "");
    write("hosts", "");
    restart();
  }
  ~DnsServiceTest() override {
    client_.reset();
    service_.reset();
    std::filesystem::remove_all(folder_);
  }

  // With what options_ say now.
  void restart() {
    client_.reset();
    runner_.turn(2);  // what was posted to the service before
    service_.reset();
    auto created = DnsService::create({loop_, clock_, clock_.timers(), log_}, options_);
    ASSERT_TRUE(created.has_value()) << created.error().detail;
    service_ = *std::move(created);
    client_ = std::make_unique<DnsClient>(*service_, loop_, clock_);
  }
  // As a program that replaces the file: the inode changes.
  void write(const std::string& name, const std::string& text) {
    const auto next = folder_ / (name + ".new");
    std::ofstream(next) << text;
    std::filesystem::rename(next, folder_ / name);
  }

  [[nodiscard]] bool ends(const Asker& asker) {
    return runner_.until([&] { return asker.ends == 1; });
  }
  // Asks and waits for the end.
  Asker resolve(const std::string& host) {
    Asker asker;
    asker.ask(*client_, host);
    EXPECT_TRUE(ends(asker)) << host;
    return asker;
  }
  // Lets come what is on its way: a round trip to the DNS server for another name.
  void settle() {
    const std::string other = "settle" + std::to_string(++settled_) + ".test";
    resolve(other);
  }
  int queries(const std::string& name) { return dns_.count(name, kA); }

  Loop loop_;
  LoopRunner runner_{loop_};
  FakeDns dns_{loop_};
  ManualClock clock_;
  Log log_{LogLevel::kOff};
  std::filesystem::path folder_;
  DnsOptions options_;
  std::unique_ptr<DnsService> service_;
  std::unique_ptr<DnsClient> client_;
  int settled_ = 0;
};

}  // namespace penstock
