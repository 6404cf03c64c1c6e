#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace penstock {

namespace {

constexpr int kMappedBits = 96;  // of ::ffff:0:0/96
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);

template <typename T>
const T& as(const sockaddr* address) {
  return *reinterpret_cast<const T*>(address);
}

std::string_view path_of(const SocketAddress& address) {
  const std::string_view path(as<sockaddr_un>(address.data()).sun_path,
                              address.length() - kPathOffset);
  return path.substr(0, path.find('\0'));
}

// IPv4 as ::ffff:a.b.c.d, IPv6 as it is.
std::array<std::uint8_t, 16> mapped_bytes(const SocketAddress& address) {
  std::array<std::uint8_t, 16> bytes{};
  if (address.family() == AF_INET) {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
    std::memcpy(&bytes[12], &as<sockaddr_in>(address.data()).sin_addr, 4);
  } else {
    std::memcpy(bytes.data(), &as<sockaddr_in6>(address.data()).sin6_addr, 16);
  }
  return bytes;
}

bool is_ip(const SocketAddress& address) {
  return address.family() == AF_INET || address.family() == AF_INET6;
}

// Digits only: no sign, no leading zero, no space.
std::optional<int> parse_prefix(std::string_view text, int max) {
  const bool padded = text.size() > 1 && text[0] == '0';
  if (padded || text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  int bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc() || bits > max) return std::nullopt;
  return bits;
}

bool same_prefix(const std::uint8_t* a, const std::uint8_t* b, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (std::memcmp(a, b, whole) != 0) return false;
  const int rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

void clear_host_bits(std::array<std::uint8_t, 16>& bytes, int prefix_bits) {
  for (int bit = prefix_bits; bit < 128; ++bit) {
    bytes[static_cast<std::size_t>(bit / 8)] &= static_cast<std::uint8_t>(~(0x80 >> (bit % 8)));
  }
}

}  // namespace

SocketAddress SocketAddress::from_sockaddr(const sockaddr* address, socklen_t length) {
  SocketAddress result;
  result.length_ = std::min<socklen_t>(length, sizeof(result.storage_));
  std::memcpy(&result.storage_, address, result.length_);
  return result;
}

std::optional<SocketAddress> SocketAddress::from_ip(std::string_view ip, std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (ip.size() >= text.size() || ip.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(ip.begin(), ip.end(), text.begin());

  sockaddr_in v4{};
  if (::inet_pton(AF_INET, text.data(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return from_sockaddr(reinterpret_cast<sockaddr*>(&v4), sizeof(v4));
  }
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET6, text.data(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return from_sockaddr(reinterpret_cast<sockaddr*>(&v6), sizeof(v6));
  }
  return std::nullopt;
}

std::optional<SocketAddress> SocketAddress::from_unix_path(std::string_view path) {
  sockaddr_un local{};
  const bool fits = path.size() < sizeof(local.sun_path);
  if (path.empty() || !fits || path.find('\0') != std::string_view::npos) return std::nullopt;
  local.sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), local.sun_path);
  const auto length = static_cast<socklen_t>(kPathOffset + path.size() + 1);
  return from_sockaddr(reinterpret_cast<sockaddr*>(&local), length);
}

int SocketAddress::family() const { return storage_.ss_family; }

std::uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(as<sockaddr_in>(data()).sin_port);
  if (family() == AF_INET6) return ntohs(as<sockaddr_in6>(data()).sin6_port);
  return 0;
}

void SocketAddress::set_port(std::uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in&>(storage_).sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage_).sin6_port = htons(port);
}

std::string SocketAddress::ip() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* bytes = nullptr;
  if (family() == AF_INET) bytes = &as<sockaddr_in>(data()).sin_addr;
  if (family() == AF_INET6) bytes = &as<sockaddr_in6>(data()).sin6_addr;
  if (bytes == nullptr) return "";
  return ::inet_ntop(family(), bytes, text.data(), text.size());
}

std::string SocketAddress::unix_path() const {
  return family() == AF_UNIX ? std::string(path_of(*this)) : "";
}

std::string SocketAddress::to_string() const {
  switch (family()) {
    case AF_INET:
      return ip() + ":" + std::to_string(port());
    case AF_INET6:
      return "[" + ip() + "]:" + std::to_string(port());
    case AF_UNIX:
      return "unix:" + unix_path();
    default:
      return "";
  }
}

bool SocketAddress::is_local() const {
  if (storage_.ss_family == AF_UNIX) return true;
  if (storage_.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage_);
    return ntohl(v4.sin_addr.s_addr) >> 24U == 127;
  }
  if (storage_.ss_family != AF_INET6) return false;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6&>(storage_).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  if (family() != other.family() || port() != other.port()) return false;
  if (family() == AF_UNIX) return path_of(*this) == path_of(other);
  if (!is_ip(*this)) return true;
  if (family() == AF_INET6 &&
      as<sockaddr_in6>(data()).sin6_scope_id != as<sockaddr_in6>(other.data()).sin6_scope_id) {
    return false;
  }
  return mapped_bytes(*this) == mapped_bytes(other);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = SocketAddress::from_ip(text.substr(0, slash), 0);
  if (!address) return std::nullopt;
  const int width = address->family() == AF_INET ? 32 : 128;
  int bits = width;
  if (slash != std::string_view::npos) {
    const auto given = parse_prefix(text.substr(slash + 1), width);
    if (!given) return std::nullopt;
    bits = *given;
  }
  Cidr block;
  block.prefix_bits_ = 128 - width + bits;
  auto bytes = mapped_bytes(*address);
  clear_host_bits(bytes, block.prefix_bits_);
  std::copy(bytes.begin(), bytes.end(), block.bytes_);
  return block;
}

// A wide IPv6 block (::/0) takes in the mapped form, but is not about IPv4 itself.
bool Cidr::contains(const SocketAddress& address) const {
  if (!is_ip(address)) return false;
  if (address.family() == AF_INET && prefix_bits_ < kMappedBits) return false;
  return same_prefix(mapped_bytes(address).data(), bytes_, prefix_bits_);
}

std::string Cidr::to_string() const {
  const bool is_v4 =
      prefix_bits_ >= kMappedBits && same_prefix(bytes_, kMappedPrefix.data(), kMappedBits);
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? bytes_ + 12 : bytes_, text.data(), text.size());
  return std::string(text.data()) + "/" + std::to_string(prefix_bits_ - (is_v4 ? kMappedBits : 0));
}

}  // namespace penstock
