// Two connected TCP sockets over loopback, and a listening one to make them.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "net/address.h"
#include "net/listener.h"
#include "net/unique_fd.h"

namespace penstock {

inline SocketAddress address_of(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof(storage);
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  EXPECT_EQ(::getsockname(fd, address, &length), 0);
  return SocketAddress::from_sockaddr(address, length);
}

// A listening socket on a port of the kernel's choice.
inline UniqueFd listening_socket() {
  auto fd = listen_tcp(*SocketAddress::from_ip("127.0.0.1", 0));
  EXPECT_TRUE(fd.has_value());
  return UniqueFd(*fd);
}

// Blocking, and connected before it returns: no accept() is needed for that.
inline UniqueFd connect_to(const SocketAddress& address) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), address.data(), address.length()), 0);
  return fd;
}

struct TcpPair {
  UniqueFd ours;   // non-blocking, for a stream
  UniqueFd peers;  // blocking, for the test
};

inline TcpPair tcp_pair() {
  const UniqueFd listener = listening_socket();
  UniqueFd peers = connect_to(address_of(listener.get()));
  pollfd queue{.fd = listener.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&queue, 1, 5000), 1);
  UniqueFd ours(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_TRUE(ours);
  return {std::move(ours), std::move(peers)};
}

}  // namespace penstock
