// Addresses of loopback that share a port: some answer, some refuse, some stay silent.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/unique_fd.h"
#include "support/tcp_pair.h"

namespace penstock {

class DialSites {
 public:
  enum Kind : std::uint8_t {
    kAnswers,
    kRefuses,  // bound, so that nobody else listens there
    kSilent,   // its queue is full: what connects waits for an answer to its SYN
  };
  using Plan = std::map<std::string, Kind>;

  explicit DialSites(const Plan& plan) {
    for (int tries = 0; tries < 50; ++tries) {
      if (open_all(plan)) return;
    }
    throw std::runtime_error("no port is free on all addresses");
  }

  std::uint16_t port() const { return port_; }
  int fd(const std::string& ip) const { return sites_.at(ip).get(); }

  // Who connected to it first of those not asked for yet.
  SocketAddress next_peer(const std::string& ip) const {
    pollfd queue{.fd = fd(ip), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&queue, 1, 5000), 1);
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* peer = reinterpret_cast<sockaddr*>(&storage);
    const UniqueFd accepted(::accept4(fd(ip), peer, &length, SOCK_CLOEXEC));
    return SocketAddress::from_sockaddr(peer, length);
  }

  // Makes room in the queue of a silent one: the next SYN is answered.
  void wake(const std::string& ip) {
    waiting_.clear();
    const UniqueFd first(::accept4(fd(ip), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(first);
  }

 private:
  bool open_all(const Plan& plan) {
    sites_.clear();
    waiting_.clear();
    port_ = 0;
    for (const auto& [ip, kind] : plan) {
      if (!open(ip, kind)) return false;
    }
    return true;
  }

  bool open(const std::string& ip, Kind kind) {
    const auto address = *SocketAddress::from_ip(ip, port_);
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (::bind(fd.get(), address.data(), address.length()) != 0) return false;
    if (kind != kRefuses && ::listen(fd.get(), kind == kSilent ? 0 : 512) != 0) return false;
    const SocketAddress bound = address_of(fd.get());
    port_ = bound.port();
    sites_[ip] = std::move(fd);
    if (kind == kSilent) fill(bound);
    return true;
  }

  void fill(const SocketAddress& address) {
    for (int i = 0; i < 8; ++i) {
      UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(fd.get(), address.data(), address.length());
      waiting_.push_back(std::move(fd));
    }
  }

  std::uint16_t port_ = 0;
  std::map<std::string, UniqueFd> sites_;
  std::vector<UniqueFd> waiting_;
};

}  // namespace penstock
