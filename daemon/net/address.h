// Socket addresses and blocks of them, as values.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

// An IPv4 or IPv6 address with a port, or the path of a unix socket. A value.
class SocketAddress {
 public:
  SocketAddress() = default;
  static SocketAddress from_sockaddr(const sockaddr* address, socklen_t length);
  // A dotted quad or an IPv6 address without brackets; no names. nullopt for anything else.
  static std::optional<SocketAddress> from_ip(std::string_view ip, std::uint16_t port);
  // nullopt when the path is empty or too long for sockaddr_un.
  static std::optional<SocketAddress> from_unix_path(std::string_view path);

  int family() const;  // AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC
  std::uint16_t port() const;
  void set_port(std::uint16_t port);
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }

  std::string ip() const;         // "127.0.0.1", "::1"; "" for unix
  std::string unix_path() const;  // "" for IP
  std::string to_string() const;  // "127.0.0.1:80", "[::1]:80", "unix:/path"
  // Of this machine: 127.0.0.0/8, ::1 (IPv4-mapped too) or a unix socket.
  bool is_local() const;
  bool operator==(const SocketAddress& other) const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
};

// A block of addresses: "10.0.0.0/8", "fd00::/8", or one address. IPv4-mapped IPv6 addresses match
// IPv4 blocks.
class Cidr {
 public:
  static std::optional<Cidr> parse(std::string_view text);
  bool contains(const SocketAddress& address) const;
  std::string to_string() const;

 private:
  std::uint8_t bytes_[16]{};  // IPv4 as ::ffff:a.b.c.d
  int prefix_bits_ = 0;       // of 128
};

}  // namespace penstock
