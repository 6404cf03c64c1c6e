// A NetDialer on a loop of the test's, with a resolver that answers as it is told and a handler
// that writes down what happens.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "event/loop.h"
#include "net/net_dialer.h"
#include "support/loop_runner.h"

namespace penstock {

// Answers at once, on a later turn, in two parts, or never.
class FakeResolver final : public Resolver {
 public:
  std::variant<AddressList, Pending, Error> resolve(const std::string& host,
                                                    ResolveHandler& handler) override {
    asked.push_back(host);
    if (at_once && error) return *error;
    if (at_once) return addresses;
    waiting = &handler;
    return std::make_unique<Lookup>(*this);
  }
  // The first of two parts: what `addresses` holds now.
  void answer_in_part() { waiting->on_resolved(AddressList(addresses), false); }
  void answer() {
    ResolveHandler* handler = std::exchange(waiting, nullptr);
    if (error) {
      handler->on_resolve_failed(*error);
    } else {
      handler->on_resolved(addresses, true);
    }
  }

  AddressList addresses;
  std::optional<Error> error;
  bool at_once = true;
  std::vector<std::string> asked;
  ResolveHandler* waiting = nullptr;

 private:
  struct Lookup final : PendingOperation {
    explicit Lookup(FakeResolver& r) : resolver(r) {}
    ~Lookup() override { resolver.waiting = nullptr; }
    FakeResolver& resolver;
  };
};

class Recorder final : public DialHandler {
 public:
  explicit Recorder(Loop& loop) : loop_(loop) {}

  void on_dial_phase(Phase phase) override {
    EXPECT_FALSE(inside_dial) << "called back inside dial()";
    phases.push_back(phase);
    if (phase == cancel_at) pending.reset();
  }
  void on_dialed(Dialed result) override {
    ended(result.times);
    dialed = std::move(result);
  }
  void on_dial_failed(Error failure, DialTimes when) override {
    ended(when);
    error = std::move(failure);
  }
  bool over() const { return ends > 0; }
  std::string_view code() const { return error ? token(error->code) : "none"; }

  Pending pending;
  bool inside_dial = false;
  std::optional<Phase> cancel_at;
  std::vector<Phase> phases;
  std::optional<Dialed> dialed;
  std::optional<Error> error;
  DialTimes times;
  MonotonicTime ended_at;
  int ends = 0;

 private:
  void ended(const DialTimes& when) {
    EXPECT_FALSE(inside_dial) << "called back inside dial()";
    ++ends;
    times = when;
    ended_at = loop_.now();
    pending.reset();  // destroys the dial inside its own callback
  }
  Loop& loop_;
};

class NetDialerTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kSeed = 1;

  DialTarget target(const std::string& host, std::uint16_t port) {
    return {.host = host, .port = port, .server_name = "good.test", .authority_port = 443};
  }

  Recorder& start(DialTarget to, const DialLimits& limits = {}) {
    recorder_.inside_dial = true;
    recorder_.pending =
        dialer_.dial(std::make_shared<const DialTarget>(std::move(to)), limits, recorder_);
    recorder_.inside_dial = false;
    return recorder_;
  }

  Recorder& dial(DialTarget to, const DialLimits& limits = {}) {
    start(std::move(to), limits);
    EXPECT_TRUE(runner_.until([&] { return recorder_.over(); }));
    EXPECT_EQ(recorder_.ends, 1);
    return recorder_;
  }

  static std::vector<SocketAddress> addresses(std::vector<std::string> ips) {
    std::vector<SocketAddress> list;
    for (const auto& ip : ips) list.push_back(*SocketAddress::from_ip(ip, 0));
    return list;
  }

  // A list of which this dialer's first dial of a name tries the addresses of each family in the
  // given order (which one of them its turn begins with follows from the seed).
  AddressList tried_in_order(std::vector<std::string> ips) {
    const std::size_t turn = DialMemory(loop_, kSeed).take_turn("origin.test");
    AddressList list;
    for (const int family : {AF_INET, AF_INET6}) {
      AddressList own = addresses(ips);
      std::erase_if(own, [&](const SocketAddress& address) { return address.family() != family; });
      for (std::size_t i = 0; i < own.size(); ++i) {
        list.push_back(own[(i + own.size() - turn % own.size()) % own.size()]);
      }
    }
    return list;
  }

  void forbid(const std::vector<std::string>& deny) {
    dialer_.set_egress(std::make_shared<const EgressPolicy>(deny, std::vector<std::string>{},
                                                            std::vector<SocketAddress>{}));
  }

  Loop loop_;
  LoopRunner runner_{loop_};
  FakeResolver resolver_;
  NetDialer dialer_{loop_, resolver_, std::make_shared<const EgressPolicy>(), kSeed};
  Recorder recorder_{loop_};
};

}  // namespace penstock
