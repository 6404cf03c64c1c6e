#include "net/egress.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <span>
#include <system_error>

#include "net/address_rules.h"
#include "net/shortage.h"
#include "net/unique_fd.h"

namespace penstock {

namespace {

// An address and the IPv4 addresses that a gateway on the way may make of it.
class Readings {
 public:
  explicit Readings(const SocketAddress& address) {
    add(address);
    if (address.family() != AF_INET6) return;
    const auto& bytes = reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr.s6_addr;
    add_embedded(std::span<const std::uint8_t, 16>(bytes, 16), address);
  }
  const SocketAddress* begin() const { return found_.data(); }
  const SocketAddress* end() const { return found_.data() + count_; }

 private:
  using Bytes = std::span<const std::uint8_t, 16>;

  void add(const SocketAddress& address) { found_[count_++] = address; }

  void add_v4(const SocketAddress& from, std::array<std::uint8_t, 4> octets) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(from.port());
    std::copy(octets.begin(), octets.end(), reinterpret_cast<std::uint8_t*>(&v4.sin_addr));
    add(SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&v4), sizeof(v4)));
  }

  static bool starts_with(Bytes bytes, std::initializer_list<std::uint8_t> prefix) {
    return std::equal(prefix.begin(), prefix.end(), bytes.begin());
  }

  void add_embedded(Bytes b, const SocketAddress& from) {
    const bool zeros = std::all_of(b.begin(), b.begin() + 10, [](auto byte) { return byte == 0; });
    const bool mapped = zeros && b[10] == 0xff && b[11] == 0xff;
    const bool special = b[12] == 0 && b[13] == 0 && b[14] == 0 && b[15] <= 1;  // :: and ::1
    const bool compatible = zeros && b[10] == 0 && b[11] == 0 && !special;
    const bool nat64 = starts_with(b, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0});
    const bool translated = starts_with(b, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0});
    if (mapped || compatible || nat64 || translated || is_isatap(b)) add_last(b, from);
    if (starts_with(b, {0, 0x64, 0xff, 0x9b, 0, 1})) add_local_nat64(b, from);
    if (starts_with(b, {0x20, 0x02})) add_v4(from, {b[2], b[3], b[4], b[5]});
    if (starts_with(b, {0x20, 0x01, 0, 0})) add_teredo(b, from);
  }

  // RFC 5214 section 6.1: under any prefix.
  static bool is_isatap(Bytes b) {
    return (b[8] & 0xfdU) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe;
  }

  // RFC 4380 section 4: the server, and behind a mask the client, to whom packets go.
  void add_teredo(Bytes b, const SocketAddress& from) {
    const auto unmask = [](std::uint8_t byte) { return static_cast<std::uint8_t>(~byte); };
    add_v4(from, {b[4], b[5], b[6], b[7]});
    add_v4(from, {unmask(b[12]), unmask(b[13]), unmask(b[14]), unmask(b[15])});
  }

  // RFC 8215 leaves the length of the translation prefix open: RFC 6052 section 2.2 has a layout
  // for each (48, 56, 64, 96; byte 8 is skipped). A first octet of 0 is another layout's padding.
  void add_local_nat64(Bytes b, const SocketAddress& from) {
    const std::size_t before = count_;
    if (b[6] != 0) add_v4(from, {b[6], b[7], b[9], b[10]});
    if (b[7] != 0) add_v4(from, {b[7], b[9], b[10], b[11]});
    if (b[9] != 0) add_v4(from, {b[9], b[10], b[11], b[12]});
    if (b[12] != 0 || count_ == before) add_last(b, from);
  }

  void add_last(Bytes b, const SocketAddress& from) { add_v4(from, {b[12], b[13], b[14], b[15]}); }

  // Itself, the four layouts of a local NAT64 prefix, and an ISATAP identifier under that.
  std::array<SocketAddress, 6> found_;
  std::size_t count_ = 0;
};

bool is_unspecified(const SocketAddress& address) {
  static const std::vector<Cidr> kUnspecified = {*Cidr::parse("0.0.0.0"), *Cidr::parse("::")};
  return matches_any(kUnspecified, address);
}

bool is_loopback(const SocketAddress& address) {
  static const std::vector<Cidr> kLoopback = *find_blocks("loopback");
  return matches_any(kLoopback, address);
}

Error refusal(ErrorCode code, std::string detail) {
  return {.code = code,
          .source = ErrorSource::kInternal,
          .phase = Phase::kConnect,
          .detail = std::move(detail)};
}

Error shortage(const SocketAddress& address, int sys) {
  Error error = refusal(ErrorCode::kProxyInternalError, "cannot judge " + address.ip() + ": " +
                                                            std::generic_category().message(sys));
  error.sys = sys;
  return error;
}

// Whether it is an address of this machine now, on any interface: towards one of those the kernel
// takes the same address as the source. Connecting a datagram socket sends nothing. What cannot be
// asked for want of a descriptor is an error, never a no.
Result<bool> is_of_this_machine(const SocketAddress& address) {
  const UniqueFd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int sys = errno;
  if (!fd && is_shortage(sys)) return Unexpected{shortage(address, sys)};
  if (!fd || ::connect(fd.get(), address.data(), address.length()) != 0) return false;
  sockaddr_storage source{};
  socklen_t length = sizeof(source);
  if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&source), &length) != 0) return false;
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&source), length).ip() ==
         address.ip();
}

Result<bool> is_here(const SocketAddress& address) {
  static const std::vector<Cidr> kUnspecified = *find_blocks("unspecified");
  if (is_loopback(address) || matches_any(kUnspecified, address)) return true;
  return is_of_this_machine(address);
}

// Two paths may lead to one socket.
bool is_same_socket(const SocketAddress& a, const SocketAddress& b) {
  if (a == b) return true;
  struct stat first {};
  struct stat second {};
  return ::stat(a.unix_path().c_str(), &first) == 0 &&
         ::stat(b.unix_path().c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

// Linux connects to the unspecified address as to the loopback one.
Result<bool> reaches(const SocketAddress& address, const SocketAddress& own) {
  if (address.family() == AF_UNIX || own.family() == AF_UNIX)
    return address.family() == own.family() && is_same_socket(address, own);
  if (address.port() != own.port()) return false;
  if (is_unspecified(own)) return is_here(address);
  return address == own || (is_unspecified(address) && is_loopback(own));
}

}  // namespace

EgressPolicy::EgressPolicy(const std::vector<std::string>& deny,
                           const std::vector<std::string>& allow, std::vector<SocketAddress> own)
    : own_(std::move(own)) {
  for (const std::string& text : deny) deny_.push_back(make_rule(text));
  for (const std::string& text : allow) allow_.push_back(make_rule(text));
}

bool EgressPolicy::is_rule(std::string_view text) { return find_blocks(text).has_value(); }

EgressPolicy::Rule EgressPolicy::make_rule(const std::string& text) {
  assert(is_rule(text));
  return {text, *find_blocks(text)};
}

const EgressPolicy::Rule* EgressPolicy::first_hit(const std::vector<Rule>& rules,
                                                  const SocketAddress& address) {
  for (const Rule& rule : rules) {
    if (matches_any(rule.blocks, address)) return &rule;
  }
  return nullptr;
}

Result<void> EgressPolicy::check(const SocketAddress& address, ClientScope scope) const {
  if (address.family() == AF_UNIX) return check_own(address, address);
  for (const SocketAddress& reading : Readings(address)) {
    auto judged = judge(reading, address, scope);
    if (!judged) return judged;
  }
  return {};
}

// Of `address`, as somebody on the way may read it.
Result<void> EgressPolicy::judge(const SocketAddress& reading, const SocketAddress& address,
                                 ClientScope scope) const {
  if (auto foreign = check_own(reading, address); !foreign) return foreign;
  if (first_hit(allow_, reading) != nullptr) return {};
  if (const Rule* denied = first_hit(deny_, reading)) {
    return Unexpected{refusal(ErrorCode::kDestinationIpProhibited,
                              address.ip() + " is denied by egress.deny: " + denied->name)};
  }
  if (scope == ClientScope::kMachine) return {};
  const auto here = is_here(reading);
  if (!here) return Unexpected{here.error()};
  if (!*here) return {};
  return Unexpected{refusal(ErrorCode::kDestinationIpProhibited,
                            address.ip() +
                                " is of the proxy's own machine, and the listener serves a "
                                "network: egress.allow does not name it")};
}

Result<void> EgressPolicy::check_own(const SocketAddress& reading,
                                     const SocketAddress& address) const {
  for (const SocketAddress& own : own_) {
    const auto loop = reaches(reading, own);
    if (!loop) return Unexpected{loop.error()};
    if (!*loop) continue;
    return Unexpected{refusal(ErrorCode::kProxyLoopDetected,
                              address.to_string() + " is an address of this proxy itself")};
  }
  return {};
}

}  // namespace penstock
