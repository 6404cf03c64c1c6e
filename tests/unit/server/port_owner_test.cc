// Who has a port: this very process, found by address and by wildcard, in IPv4 and IPv6.
#include "server/port_owner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "net/listener.h"
#include "net/unique_fd.h"

namespace penstock {
namespace {

class PortOwner : public testing::TestWithParam<std::pair<const char*, const char*>> {};

SocketAddress bound(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&address), length);
}

TEST_P(PortOwner, IsFoundWithItsPidAndCommand) {
  const auto [listening, asked] = GetParam();
  auto fd = listen_tcp(*SocketAddress::from_ip(listening, 0));
  ASSERT_TRUE(fd) << fd.error().detail;
  const UniqueFd owned(*fd);
  const std::string owner = port_owner(*SocketAddress::from_ip(asked, bound(*fd).port()));
  EXPECT_TRUE(owner.starts_with("pid " + std::to_string(getpid()) + " (")) << owner;
  EXPECT_NE(owner.find("server_test"), std::string::npos) << owner;
  EXPECT_TRUE(is_own_port(*SocketAddress::from_ip(asked, bound(*fd).port())));
}

INSTANTIATE_TEST_SUITE_P(Addresses, PortOwner,
                         testing::Values(std::pair("127.0.0.1", "127.0.0.1"),
                                         std::pair("127.0.0.1", "0.0.0.0"),
                                         std::pair("0.0.0.0", "127.0.0.1"), std::pair("::1", "::1"),
                                         std::pair("::", "::1")));

TEST(PortOwner, NobodyHasAPortThatIsFree) {
  auto fd = listen_tcp(*SocketAddress::from_ip("127.0.0.1", 0));
  ASSERT_TRUE(fd) << fd.error().detail;
  const SocketAddress address = bound(*fd);
  EXPECT_EQ(port_owner(*SocketAddress::from_ip("127.0.0.2", address.port())), "");
  close(*fd);
  EXPECT_EQ(port_owner(address), "");
  EXPECT_FALSE(is_own_port(address));
}

}  // namespace
}  // namespace penstock
