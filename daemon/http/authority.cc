#include "http/authority.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "http/chars.h"

namespace penstock {

namespace {

using Fault = std::optional<std::string_view>;

constexpr std::size_t kMaxNameBytes = 253;  // RFC 1035 section 2.3.4, without the trailing dot
constexpr std::size_t kMaxLabelBytes = 63;

// The lower-case form of the bytes a host name may hold, 0 for all others. The underscore is no
// letter of a host name by the book, yet names in containers and service records have it.
constexpr std::array<char, 256> kNameByte = [] {
  std::array<char, 256> table{};
  for (char c = 'a'; c <= 'z'; ++c) {
    table[chars::index(c)] = c;
    table[chars::index(static_cast<char>(c - 'a' + 'A'))] = c;
  }
  for (char c : std::string_view("0123456789-_.")) table[chars::index(c)] = c;
  return table;
}();

std::string_view reason_for_byte(char c) {
  if (chars::index(c) >= 0x80) return "the host is not ASCII: write it as an A-label (xn--...)";
  if (c == '@') return "user information in the authority";
  if (c == '%') return "a percent sign in the host";
  if (c == '[' || c == ']') return "brackets that hold no IPv6 address";
  return "a character that no host may have";
}

Fault parse_port(std::string_view text, Authority& out) {
  if (text.empty()) return "no port after the colon";
  std::uint32_t port = 0;
  const char* end = text.data() + text.size();
  // A leading zero means octal to some readers.
  if (!std::all_of(text.begin(), text.end(), chars::is_digit) || text.front() == '0') {
    return "the port is not a number from 1 to 65535";
  }
  const auto result = std::from_chars(text.data(), end, port);
  if (result.ec != std::errc() || port > 65535) return "the port is not a number from 1 to 65535";
  out.port = static_cast<std::uint16_t>(port);
  return std::nullopt;
}

// Brackets taken off.
Fault parse_ipv6(std::string_view text, Authority& out) {
  if (text.find('%') != std::string_view::npos) return "a zone identifier in the IPv6 address";
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof(terminated)) return "brackets that hold no IPv6 address";
  std::memcpy(terminated, text.data(), text.size());
  in6_addr address;
  // An embedded NUL would end the text early for inet_pton.
  if (std::strlen(terminated) != text.size() || inet_pton(AF_INET6, terminated, &address) != 1) {
    return "brackets that hold no IPv6 address";
  }
  char canonical[INET6_ADDRSTRLEN];
  inet_ntop(AF_INET6, &address, canonical, sizeof(canonical));
  out.host = canonical;
  out.kind = HostKind::kIpv6;
  return std::nullopt;
}

// Four decimal numbers up to 255 without leading zeros.
bool is_dotted_quad(std::string_view text) {
  for (int part = 0; part < 4; ++part) {
    std::size_t digits = 0;
    int value = 0;
    while (digits < text.size() && digits < 4 && chars::is_digit(text[digits])) {
      value = value * 10 + (text[digits++] - '0');
    }
    if (digits == 0 || digits > 3 || value > 255 || (digits > 1 && text[0] == '0')) return false;
    text.remove_prefix(digits);
    if (part == 3) break;
    if (text.empty() || text.front() != '.') return false;
    text.remove_prefix(1);
  }
  return text.empty();
}

// What URL readers take for a number: the old inet_aton forms, 127.1 and 0x7f000001.
bool is_numeric(std::string_view label) {
  if (label.size() >= 2 && label[0] == '0' && label[1] == 'x') {
    return std::all_of(label.begin() + 2, label.end(),
                       [](char c) { return chars::kHexValue[chars::index(c)] >= 0; });
  }
  return std::all_of(label.begin(), label.end(), chars::is_digit);
}

// Copies the name in lower case and checks its bytes and the lengths of its labels.
Fault copy_name(std::string_view text, std::string& host) {
  host.resize(text.size());
  char* to = host.data();
  std::size_t label_bytes = 0;
  for (char c : text) {
    const char lower = kNameByte[chars::index(c)];
    if (lower == 0) return reason_for_byte(c);
    *to++ = lower;
    if (lower != '.') {
      if (++label_bytes > kMaxLabelBytes) return "a label of the host is over 63 bytes";
    } else {
      if (label_bytes == 0) return "an empty label in the host";
      label_bytes = 0;
    }
  }
  return std::nullopt;
}

Fault parse_name(std::string_view text, Authority& out) {
  if (text.empty()) return "the host is empty";
  if (text.size() > kMaxNameBytes + 1) return "the host is over 253 bytes";
  if (Fault fault = copy_name(text, out.host)) return fault;
  out.kind = HostKind::kName;
  const bool trailing_dot = out.host.back() == '.';
  if (trailing_dot) out.host.pop_back();
  if (out.host.size() > kMaxNameBytes) return "the host is over 253 bytes";
  const std::string_view host = out.host;
  if (!is_numeric(host.substr(host.rfind('.') + 1))) return std::nullopt;
  // With its dot it is an address to some readers and a name to others.
  if (trailing_dot || !is_dotted_quad(host)) return "a numeric host that is no dotted quad";
  out.kind = HostKind::kIpv4;
  return std::nullopt;
}

}  // namespace

void Authority::append_to(std::string& out, std::uint16_t default_port) const {
  if (kind == HostKind::kIpv6) out += '[';
  out += host;
  if (kind == HostKind::kIpv6) out += ']';
  if (!port || *port == default_port) return;
  char digits[5];
  const auto result = std::to_chars(digits, digits + sizeof(digits), *port);
  out += ':';
  out.append(digits, result.ptr);
}

std::string Authority::to_string(std::uint16_t default_port) const {
  std::string text;
  append_to(text, default_port);
  return text;
}

std::optional<std::string_view> parse_authority(std::string_view text, Authority& out) {
  out.port.reset();
  if (!text.empty() && text.front() == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return "an IPv6 address without its closing bracket";
    if (Fault fault = parse_ipv6(text.substr(1, close - 1), out)) return fault;
    text.remove_prefix(close + 1);
    if (text.empty()) return std::nullopt;
    if (text.front() != ':') return "characters after the closing bracket";
    return parse_port(text.substr(1), out);
  }
  const std::size_t colon = text.find(':');
  if (Fault fault = parse_name(text.substr(0, colon), out)) return fault;
  if (colon == std::string_view::npos) return std::nullopt;
  return parse_port(text.substr(colon + 1), out);
}

}  // namespace penstock
