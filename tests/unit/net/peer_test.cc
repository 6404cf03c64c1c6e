// Who a client is, and which clients a listener admits.
#include "net/peer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "net/unique_fd.h"

namespace penstock {
namespace {

Peer at(std::string_view ip) { return *SocketAddress::from_ip(ip, 50000); }

Peer user(std::optional<std::uint32_t> uid) {
  return {*SocketAddress::from_unix_path("/client"), uid};
}

TEST(PeerTest, OfAUnixSocketIsAUser) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd ours(fds[0]);
  const UniqueFd theirs(fds[1]);
  const sockaddr unnamed{.sa_family = AF_UNIX, .sa_data = {}};
  const Peer peer =
      identify_peer(ours.get(), SocketAddress::from_sockaddr(&unnamed, sizeof unnamed.sa_family));
  EXPECT_EQ(peer.uid(), ::geteuid());
  EXPECT_EQ(peer.to_string(), "unix");
}

TEST(PeerTest, OfTcpIsAnAddress) {
  const Peer peer = identify_peer(-1, *SocketAddress::from_ip("192.0.2.7", 50000));
  EXPECT_EQ(peer.uid(), std::nullopt);
  EXPECT_EQ(peer.to_string(), "192.0.2.7:50000");
}

TEST(PeerTest, KeepsAddressesWholeButForPaths) {
  for (const char* ip : {"192.0.2.7", "2001:db8::7"}) {
    const SocketAddress address = *SocketAddress::from_ip(ip, 50000);
    EXPECT_TRUE(Peer(address).address() == address) << ip;
  }
  EXPECT_EQ(user(33).address().family(), AF_UNIX);
  EXPECT_EQ(user(33).address().unix_path(), "");
  EXPECT_EQ(Peer().address().family(), AF_UNSPEC);
}

TEST(ClientFilterTest, AdmitsAllWhereNothingIsSaid) {
  const ClientFilter filter;
  EXPECT_TRUE(filter.admits(at("203.0.113.1")));
  EXPECT_TRUE(filter.admits(user(33)));
  EXPECT_TRUE(filter.admits(user(std::nullopt)));
}

TEST(ClientFilterTest, AdmitsAddressesByNameAndBlock) {
  const ClientFilter filter({}, {"private", "loopback", "192.0.2.0/24", "2001:db8::1"});
  for (const char* ip : {"10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "fd00::1",
                         "127.0.0.2", "::1", "192.0.2.255", "2001:db8::1", "::ffff:10.1.2.3"}) {
    EXPECT_TRUE(filter.admits(at(ip))) << ip;
  }
  for (const char* ip : {"172.32.0.1", "192.0.3.0", "203.0.113.1", "2001:db8::2", "fe80::1",
                         "::ffff:203.0.113.1", "0.0.0.0"}) {
    EXPECT_FALSE(filter.admits(at(ip))) << ip;
  }
}

TEST(ClientFilterTest, AdmitsAnyAddressOfBothKinds) {
  const ClientFilter filter({}, {"any"});
  EXPECT_TRUE(filter.admits(at("203.0.113.1")));
  EXPECT_TRUE(filter.admits(at("2001:db8::2")));
}

TEST(ClientFilterTest, AdmitsUsersByNumberAlone) {
  const ClientFilter filter({"33", "4294967294"}, {});
  EXPECT_TRUE(filter.admits(user(33)));
  EXPECT_TRUE(filter.admits(user(4294967294U)));
  EXPECT_FALSE(filter.admits(user(0))) << "root is no exception";
  EXPECT_FALSE(filter.admits(user(3)));
  EXPECT_FALSE(filter.admits(user(std::nullopt)));
}

}  // namespace
}  // namespace penstock
