// host[:port], strictly: what two readers could understand differently is refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

enum class HostKind : std::uint8_t { kName, kIpv4, kIpv6 };

struct Authority {
  std::string host;  // lower case, without a trailing dot; IPv6 canonical, without brackets
  HostKind kind = HostKind::kName;
  std::optional<std::uint16_t> port;

  // "host", "host:port", "[v6]:port"; the port is left out when it is `default_port`.
  void append_to(std::string& out, std::uint16_t default_port) const;
  std::string to_string(std::uint16_t default_port) const;
  bool single_label() const {
    return kind == HostKind::kName && host.find('.') == std::string::npos;
  }
};

// Fills `out` (whose capacity is kept). The reason, a literal, when the text is not an authority:
// userinfo, empty host, bad port, port 0, non-ASCII, bad characters, labels over 63 or names over
// 253 bytes, a numeric last label that is no dotted quad (`127.1`, `0x7f000001`), zone identifiers.
std::optional<std::string_view> parse_authority(std::string_view text, Authority& out);

}  // namespace penstock
