// When an address counts as having left a name: absent from every good answer for long enough.
#include "net/address_history.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

using namespace std::chrono_literals;

constexpr Duration kForgetAfter = 10min;

class AddressHistoryTest : public testing::Test {
 protected:
  // What an answer with these addresses changes, as "-ip" and "+ip".
  std::vector<std::string> answer(const std::vector<std::string>& ips, bool ipv6_answered = true) {
    DnsAnswer answer{.ipv4_answered = true, .ipv6_answered = ipv6_answered};
    for (const std::string& ip : ips) answer.addresses.push_back(*SocketAddress::from_ip(ip, 0));
    std::vector<std::string> told;
    for (const AddressChange& change : history_.update(answer, kForgetAfter, now_))
      told.push_back((change.left ? "-" : "+") + change.address.ip());
    return told;
  }
  using Told = std::vector<std::string>;

  AddressHistory history_;
  MonotonicTime now_{1h};
};

TEST_F(AddressHistoryTest, AnAddressLeavesAfterItsTimeAndOnlyOnce) {
  EXPECT_EQ(answer({"192.0.2.1", "192.0.2.2"}), Told{});
  now_ += 1h;
  EXPECT_EQ(answer({"192.0.2.1"}), Told{}) << "absent from now on";
  now_ += kForgetAfter - 1ns;
  EXPECT_EQ(answer({"192.0.2.1"}), Told{});
  now_ += 1ns;
  EXPECT_EQ(answer({"192.0.2.1"}), Told{"-192.0.2.2"});
  now_ += kForgetAfter;
  EXPECT_EQ(answer({"192.0.2.1"}), Told{});
}

TEST_F(AddressHistoryTest, OneThatIsSeenInBetweenStays) {
  answer({"192.0.2.1", "192.0.2.2"});
  for (int i = 0; i < 10; ++i) {  // a rotating answer
    now_ += 6min;
    EXPECT_EQ(answer({i % 2 == 0 ? "192.0.2.1" : "192.0.2.2"}), Told{});
  }
}

TEST_F(AddressHistoryTest, OneThatHasLeftReturns) {
  answer({"192.0.2.1", "192.0.2.2"});
  answer({"192.0.2.1"});
  now_ += kForgetAfter;
  EXPECT_EQ(answer({"192.0.2.1"}), Told{"-192.0.2.2"});
  EXPECT_EQ(answer({"192.0.2.1", "192.0.2.2"}), Told{"+192.0.2.2"});
  EXPECT_EQ(answer({"192.0.2.1"}), Told{}) << "its time begins anew";
  now_ += kForgetAfter;
  EXPECT_EQ(answer({"192.0.2.1"}), Told{"-192.0.2.2"});
}

TEST_F(AddressHistoryTest, TheSilenceOfAFamilySaysNothing) {
  answer({"192.0.2.1", "2001:db8::1"});
  answer({"192.0.2.1"}, false);
  now_ += 10 * kForgetAfter;
  EXPECT_EQ(answer({"192.0.2.1"}, false), Told{});
  EXPECT_EQ(answer({"192.0.2.1"}, true), Told{}) << "absent from now on";
  now_ += kForgetAfter;
  EXPECT_EQ(answer({"192.0.2.1"}, true), Told{"-2001:db8::1"});
}

TEST_F(AddressHistoryTest, FollowsSoManyAddressesAndNoMore) {
  for (int i = 0; i < 1000; ++i) {
    answer({"198.51." + std::to_string(i / 250) + '.' + std::to_string(i % 250)});
    now_ += 1ms;
  }
  now_ += kForgetAfter;
  EXPECT_EQ(answer({"192.0.2.1"}).size(), AddressHistory::kMaxAddresses - 1)
      << "all that were followed but the last, which is absent from now on";
}

}  // namespace
}  // namespace penstock
