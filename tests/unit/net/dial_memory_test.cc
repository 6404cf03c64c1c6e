// What is remembered of a host, on a clock turned by hand: the family that won, back-off with its
// growth, jitter and end, turns, and the bounds.
#include "net/dial_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/manual_clock.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Ge;
using testing::Le;
using testing::SizeIs;

SocketAddress at(const std::string& ip) { return *SocketAddress::from_ip(ip, 443); }

class DialMemoryTest : public testing::Test {
 protected:
  static AddressList of(const std::vector<std::string>& ips) {
    AddressList list;
    for (const std::string& ip : ips) list.push_back(at(ip));
    return list;
  }
  std::vector<std::string> order(const std::vector<std::string>& ips, std::size_t turn = 0) {
    std::vector<std::string> found;
    for (const auto& address : memory_.order(kHost, of(ips), turn)) found.push_back(address.ip());
    return found;
  }
  bool stands_back(const std::string& ip) { return order({ip, "10.9.9.9"}).back() == ip; }
  // How long the address stands behind another one from now on, to 10 ms.
  Duration backoff_of(const std::string& ip) {
    Duration spent{};
    for (; memory_.order_after(AF_INET6, kHost, of({ip, "10.9.9.9"}), 0).back() == at(ip);
         spent += 10ms) {
      clock_.advance(10ms);
    }
    return spent;
  }

  static constexpr std::string_view kHost = "api.test";
  ManualClock clock_;
  DialMemory memory_{clock_, 7};
};

TEST_F(DialMemoryTest, BeginsWithIpv6AndThenWithTheFamilyThatWon) {
  EXPECT_THAT(order({"10.0.0.1", "::1"}), ElementsAre("::1", "10.0.0.1"));
  memory_.on_success(kHost, at("10.0.0.1"));
  EXPECT_THAT(order({"10.0.0.1", "::1"}), ElementsAre("10.0.0.1", "::1"));
  memory_.on_success(kHost, at("::1"));
  EXPECT_THAT(order({"10.0.0.1", "::1"}), ElementsAre("::1", "10.0.0.1"));
  const auto other = memory_.order("other.test", of({"10.0.0.1", "::1"}), 0);
  EXPECT_EQ(other.front(), at("::1")) << "hosts do not share it";
}

TEST_F(DialMemoryTest, GivesIpv6AnotherTurnAfterTenMinutesOfIpv4) {
  for (int minute = 0; minute < 10; ++minute) {
    memory_.on_success(kHost, at("10.0.0.1"));
    EXPECT_EQ(order({"10.0.0.1", "::1"}).front(), "10.0.0.1") << minute;
    clock_.advance(1min);
  }
  EXPECT_EQ(order({"10.0.0.1", "::1"}).front(), "::1");
  memory_.on_success(kHost, at("10.0.0.1"));  // that one was not to be had
  EXPECT_EQ(order({"10.0.0.1", "::1"}).front(), "10.0.0.1");
}

TEST_F(DialMemoryTest, PutsWhatFailedLatelyBehindTheOthersAndKeepsIt) {
  memory_.on_failure(kHost, at("10.0.0.1"));
  EXPECT_THAT(order({"10.0.0.1", "10.0.0.2"}), ElementsAre("10.0.0.2", "10.0.0.1"));
  memory_.on_failure(kHost, at("10.0.0.2"));
  EXPECT_THAT(order({"10.0.0.1", "10.0.0.2"}), SizeIs(2)) << "never refused";
  memory_.on_failure(kHost, at("::1"));
  EXPECT_THAT(order({"::1", "10.0.0.3"}), ElementsAre("10.0.0.3", "::1"));
}

TEST_F(DialMemoryTest, ForgetsAFailureAtSuccess) {
  memory_.on_failure(kHost, at("10.0.0.1"));
  memory_.on_success(kHost, at("10.0.0.1"));
  EXPECT_THAT(order({"10.0.0.1", "10.0.0.2"}), ElementsAre("10.0.0.1", "10.0.0.2"));
  memory_.on_failure(kHost, at("10.0.0.1"));
  EXPECT_THAT(backoff_of("10.0.0.1"), Le(1210ms)) << "counted from one again";
}

TEST_F(DialMemoryTest, DoublesTheBackOffWithinItsJitterUpToItsBound) {
  for (const Duration expected : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 120s, 120s}) {
    memory_.on_failure(kHost, at("10.0.0.1"));
    const Duration spent = backoff_of("10.0.0.1");
    EXPECT_THAT(spent, Ge(expected * 8 / 10));
    EXPECT_THAT(spent, Le(expected * 12 / 10 + 10ms));
  }
}

TEST_F(DialMemoryTest, DrawsTheJitterFromItsSeed) {
  std::set<Duration> seen;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    DialMemory memory(clock_, seed);
    memory.on_failure(kHost, at("10.0.0.1"));
    const auto began = clock_.now();
    while (memory.order_after(AF_INET6, kHost, of({"10.0.0.1", "10.0.0.2"}), 0).back() ==
           at("10.0.0.1")) {
      clock_.advance(10ms);
    }
    seen.insert(clock_.now() - began);
  }
  EXPECT_GT(seen.size(), 5u);
}

TEST_F(DialMemoryTest, CountsTheFailuresOfOneBackOffAsOne) {
  for (int i = 0; i < 16; ++i) memory_.on_failure(kHost, at("10.0.0.1"));
  EXPECT_THAT(backoff_of("10.0.0.1"), Le(1210ms));
}

TEST_F(DialMemoryTest, LetsOneDialFindOutWhetherAnAddressIsBack) {
  memory_.on_failure(kHost, at("10.0.0.1"));
  clock_.advance(1300ms);
  EXPECT_FALSE(stands_back("10.0.0.1"));
  EXPECT_TRUE(stands_back("10.0.0.1")) << "the next ones do not wait for what the first finds";
  memory_.on_success(kHost, at("10.0.0.1"));
  EXPECT_FALSE(stands_back("10.0.0.1"));
  EXPECT_FALSE(stands_back("10.0.0.1"));
}

TEST_F(DialMemoryTest, GoesOnWithTheFamilyThatWasNotTried) {
  const auto known = of({"::1", "::2", "10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(memory_.order_after(AF_INET6, kHost, known, 0).front(), at("10.0.0.1"));
  EXPECT_EQ(memory_.order_after(AF_INET, kHost, known, 0).front(), at("::1"));
}

TEST_F(DialMemoryTest, SpreadsTheTurnsOverTheAddressesThatWork) {
  const std::vector<std::string> all = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};
  std::map<std::string, int> dials;
  for (int i = 0; i < 400; ++i) ++dials[order(all, memory_.take_turn(kHost)).front()];
  for (const std::string& ip : all) EXPECT_EQ(dials[ip], 100) << ip;

  memory_.on_failure(kHost, at("10.0.0.2"));
  dials.clear();
  for (int i = 0; i < 300; ++i) ++dials[order(all, memory_.take_turn(kHost)).front()];
  EXPECT_EQ(dials["10.0.0.2"], 0);
  for (const std::string ip : {"10.0.0.1", "10.0.0.3", "10.0.0.4"}) EXPECT_EQ(dials[ip], 100);
}

TEST_F(DialMemoryTest, BeginsTheTurnsOfDifferentDialersAtDifferentAddresses) {
  std::set<std::size_t> first;
  for (std::uint64_t seed = 1; seed <= 32; ++seed) {
    first.insert(DialMemory(clock_, seed).take_turn(kHost) % 4);
  }
  EXPECT_THAT(first, SizeIs(4));
}

TEST_F(DialMemoryTest, KeepsTheHostsThatWereDialledLast) {
  DialMemory memory(clock_, 1, 3);
  for (const std::string host : {"a.test", "b.test", "c.test"}) {
    memory.on_failure(host, at("10.0.0.1"));
  }
  memory.take_turn("a.test");
  memory.take_turn("d.test");
  EXPECT_EQ(memory.size(), 3u);
  const auto first = [&](std::string_view host) {
    return memory.order_after(AF_INET6, host, of({"10.0.0.1", "10.0.0.2"}), 0).front().ip();
  };
  EXPECT_EQ(first("a.test"), "10.0.0.2");
  EXPECT_EQ(first("b.test"), "10.0.0.1") << "b.test was to be forgotten";
  EXPECT_EQ(memory.size(), 3u);
}

TEST_F(DialMemoryTest, KeepsTheLatestFailuresOfAHost) {
  for (int i = 0; i <= static_cast<int>(DialMemory::kMostFailures); ++i) {
    memory_.on_failure(kHost, at("10.0.1." + std::to_string(i)));
    clock_.advance(10ms);
  }
  int remembered = 0;
  for (int i = 0; i <= static_cast<int>(DialMemory::kMostFailures); ++i) {
    remembered += stands_back("10.0.1." + std::to_string(i));
  }
  EXPECT_EQ(remembered, static_cast<int>(DialMemory::kMostFailures));
}

}  // namespace
}  // namespace penstock
