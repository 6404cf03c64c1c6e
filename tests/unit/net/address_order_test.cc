// The order in which the addresses of a name are tried: families in turn, rotated within.
#include "net/address_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

namespace penstock {
namespace {

using Ips = std::vector<std::string>;

AddressList addresses(const Ips& ips) {
  AddressList list;
  for (const std::string& ip : ips) list.push_back(*SocketAddress::from_ip(ip, 80));
  return list;
}

Ips ips(const AddressList& list) {
  Ips found;
  for (const SocketAddress& address : list) {
    EXPECT_EQ(address.port(), 80);
    found.push_back(address.ip());
  }
  return found;
}

TEST(AddressOrderTest, TakesTheFamiliesInTurn) {
  const struct {
    Ips known;
    int first;
    Ips order;
  } cases[] = {
      {{}, AF_INET6, {}},
      {{"10.0.0.1"}, AF_INET6, {"10.0.0.1"}},
      {{"::1"}, AF_INET, {"::1"}},
      {{"10.0.0.1", "::1"}, AF_INET6, {"::1", "10.0.0.1"}},
      {{"::1", "10.0.0.1"}, AF_INET, {"10.0.0.1", "::1"}},
      {{"10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"},
       AF_INET6,
       {"::1", "10.0.0.1", "10.0.0.2", "10.0.0.3"}},
      {{"10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"},
       AF_INET,
       {"10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"}},
      {{"::1", "::2", "::3", "10.0.0.1", "10.0.0.2"},
       AF_INET6,
       {"::1", "10.0.0.1", "::2", "10.0.0.2", "::3"}},
  };
  for (const auto& c : cases) EXPECT_EQ(ips(interleave(addresses(c.known), c.first, 0)), c.order);
}

TEST(AddressOrderTest, RotatesEachFamilyByTheTurn) {
  const AddressList known = addresses({"10.0.0.1", "10.0.0.2", "10.0.0.3", "::1", "::2"});
  const Ips orders[] = {
      {"::1", "10.0.0.1", "::2", "10.0.0.2", "10.0.0.3"},
      {"::2", "10.0.0.2", "::1", "10.0.0.3", "10.0.0.1"},
      {"::1", "10.0.0.3", "::2", "10.0.0.1", "10.0.0.2"},
      {"::2", "10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"},
  };
  for (std::size_t turn = 0; turn < 4; ++turn) {
    EXPECT_EQ(ips(interleave(known, AF_INET6, turn)), orders[turn]) << turn;
  }
  EXPECT_EQ(ips(interleave(known, AF_INET6, SIZE_MAX)).size(), 5u);
}

TEST(AddressOrderTest, KnowsTheOtherFamily) {
  EXPECT_EQ(other_family(AF_INET), AF_INET6);
  EXPECT_EQ(other_family(AF_INET6), AF_INET);
}

}  // namespace
}  // namespace penstock
