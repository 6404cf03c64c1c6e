#include "config/addresses.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "http/authority.h"

namespace penstock {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestPath = 4096;
constexpr std::size_t kLongestSocketName = 255;  // systemd's bound
constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kSystemdPrefix = "systemd:";
constexpr std::array kClientNames = {"loopback"sv, "private"sv, "any"sv};
constexpr std::array kEgressNames = {"link_local"sv, "metadata"sv,    "loopback"sv,
                                     "private"sv,    "unspecified"sv, "any"sv};

Unexpected<std::string> wrong(std::string text) { return Unexpected<std::string>{std::move(text)}; }

// `written`: what the file says, where `text` is only a part of it.
Parsed<Authority> authority_of(std::string_view text, std::string_view written) {
  Authority authority;
  const auto reason = parse_authority(text, authority);
  if (!reason) return authority;
  return wrong(in_quotes(written) + " is no host[:port]: " + std::string(*reason));
}

bool is_bare_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_loopback(const Authority& address) {
  return address.kind == HostKind::kIpv4 ? address.host.starts_with("127.") : address.host == "::1";
}

// The 16 or 4 bytes of an address literal without brackets; 0 when it is none.
struct AddressBytes {
  std::array<unsigned char, 16> bytes{};
  int bits = 0;
};

AddressBytes address_bytes(std::string_view text) {
  AddressBytes address;
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return address;
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
  } else if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
  }
  return address;
}

void clear_host_bits(AddressBytes& address, int prefix) {
  for (int bit = prefix; bit < address.bits; ++bit) {
    auto& byte = address.bytes[static_cast<std::size_t>(bit / 8)];
    byte = static_cast<unsigned char>(byte & ~(0x80 >> bit % 8));
  }
}

std::string text_of(const AddressBytes& address) {
  std::array<char, INET6_ADDRSTRLEN> text;
  inet_ntop(address.bits == 32 ? AF_INET : AF_INET6, address.bytes.data(), text.data(),
            text.size());
  return text.data();
}

Parsed<std::string> check_cidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  AddressBytes address = address_bytes(text.substr(0, slash));
  if (address.bits == 0) return wrong(in_quotes(text) + " is neither a known name nor a CIDR");
  if (slash == std::string_view::npos) return text_of(address);
  const auto bits = static_cast<std::uint64_t>(address.bits);
  const auto prefix = parse_count(text.substr(slash + 1), 0, bits);
  if (!prefix)
    return wrong(in_quotes(text) + " has a prefix that is not 0 to " + std::to_string(bits));
  const AddressBytes written = address;
  clear_host_bits(address, static_cast<int>(*prefix));
  const std::string block = text_of(address) + '/' + std::to_string(*prefix);
  if (address.bytes != written.bytes) {
    return wrong(in_quotes(text) + " has bits set after its prefix; did you mean " + block + "?");
  }
  return block;
}

// unix: and an absolute path that fits into a socket's address.
Parsed<std::string> check_unix_path(std::string_view text) {
  const std::string_view path = text.substr(kUnixPrefix.size());
  if (!path.starts_with('/')) return wrong(in_quotes(text) + " is not unix: and an absolute path");
  if (path.size() >= sizeof(sockaddr_un::sun_path) || path.find('\0') != std::string_view::npos) {
    return wrong(in_quotes(text) + " is longer than a socket's path may be");
  }
  return std::string(text);
}

// As systemd takes a FileDescriptorName=.
Parsed<std::string> check_systemd_name(std::string_view text) {
  const std::string_view name = text.substr(kSystemdPrefix.size());
  const bool visible =
      std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
  if (name.empty() || name.size() > kLongestSocketName || !visible) {
    return wrong(in_quotes(text) + " is not systemd: and the name of a socket");
  }
  return std::string(text);
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Where to listen: an address literal with a port, which may be 0, the system's choice; no
// authority may name that one.
struct ListenAddress {
  Authority authority;
  bool any_port = false;

  std::string to_string() const { return authority.to_string(0) + (any_port ? ":0" : ""); }
};

// `example`: the address that somebody who writes a port alone has probably in mind.
Parsed<ListenAddress> listen_address(std::string_view text, std::string_view example) {
  if (is_bare_port(text)) {
    return wrong(in_quotes(text) + " has no address; write " + std::string(example) + ':' +
                 std::string(text));
  }
  const bool any_port = text.ends_with(":0");
  const std::string_view host = any_port ? text.substr(0, text.size() - 2) : text;
  auto address = authority_of(host, text);
  if (!address) return wrong(std::move(address.error()));
  if (!any_port && !address->port) return wrong(in_quotes(text) + " has no port");
  if (any_port && address->port) return wrong(in_quotes(text) + " has two ports");
  if (address->kind == HostKind::kName) {
    if (address->host != "localhost") return wrong(in_quotes(text) + " is a name, not an address");
    address->host = "127.0.0.1";
    address->kind = HostKind::kIpv4;
  }
  return ListenAddress{*std::move(address), any_port};
}

}  // namespace

ListenerKind listener_kind(std::string_view address) {
  if (address.starts_with(kUnixPrefix)) return ListenerKind::kUnix;
  return address.starts_with(kSystemdPrefix) ? ListenerKind::kSystemd : ListenerKind::kTcp;
}

std::string_view socket_name(std::string_view address) {
  return address.substr(address.find(':') + 1);
}

bool is_loopback_address(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]:");
}

Parsed<std::string> check_listener_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return check_unix_path(text);
  if (text.starts_with(kSystemdPrefix)) return check_systemd_name(text);
  auto address = listen_address(text, "127.0.0.1");
  if (!address) return wrong(std::move(address.error()));
  return address->to_string();
}

Parsed<std::string> check_admin_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return check_unix_path(text);
  if (text.starts_with(kSystemdPrefix)) return wrong(in_quotes(text) + " is for listeners alone");
  auto address = listen_address(text, "127.0.0.1");
  if (!address) return wrong(std::move(address.error()));
  if (!is_loopback(address->authority)) {
    return wrong(in_quotes(text) + " is not loopback, which is not supported in this version");
  }
  return address->to_string();
}

Parsed<std::string> check_public_address(std::string_view text) {
  if (listener_kind(text) != ListenerKind::kTcp) {
    return wrong(in_quotes(text) + " is no TCP address");
  }
  auto address = listen_address(text, "0.0.0.0");
  if (!address) return wrong(std::move(address.error()));
  return address->to_string();
}

Parsed<std::string> check_dns_server(std::string_view text) {
  const AddressBytes bare = address_bytes(text);
  if (bare.bits != 0) return text_of(bare);
  auto address = authority_of(text, text);
  if (!address) return wrong(std::move(address.error()));
  if (address->kind == HostKind::kName) {
    return wrong(in_quotes(text) + " is a name, which no one could look up");
  }
  return address->to_string(0);
}

Parsed<std::string> check_egress_rule(std::string_view text) {
  if (std::ranges::find(kEgressNames, text) != kEgressNames.end()) return std::string(text);
  return check_cidr(text);
}

Parsed<std::string> check_client_rule(std::string_view text) {
  if (std::ranges::find(kClientNames, text) != kClientNames.end()) return std::string(text);
  return check_cidr(text);
}

Parsed<std::string> check_file_mode(std::string_view text) {
  if (!std::ranges::all_of(text, is_octal) || text.size() < 3 || text.size() > 4 ||
      (text.size() == 4 && text.front() != '0')) {
    return wrong(in_quotes(text) + " is not the mode of a file");
  }
  const std::string_view digits = text.substr(text.size() - 3);
  const bool someone = std::ranges::any_of(digits, [](char c) { return ((c - '0') & 2) != 0; });
  if (!someone) return wrong(in_quotes(text) + " lets nobody connect, which takes the write bit");
  return '0' + std::string(digits);
}

Parsed<std::string> check_file_owner(std::string_view text) {
  const std::string_view user = text.substr(0, text.find(':'));
  const std::string_view group = user.size() == text.size() ? "-" : text.substr(user.size() + 1);
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c != 0x7f; });
  if (user.empty() || group.empty() || group.find(':') != std::string_view::npos || !plain) {
    return wrong(in_quotes(text) + " is not user or user:group");
  }
  return std::string(text);
}

Parsed<std::string> check_port(std::string_view text) {
  const auto port = parse_count(text, 1, 65535);
  if (!port) return wrong(port.error());
  return std::to_string(*port);
}

Parsed<std::string> check_user_id(std::string_view text) {
  const auto id = parse_count(text, 0, kLargestUserId);
  if (!id) return wrong(std::move(id).error());
  return std::to_string(*id);
}

Parsed<std::string> check_host_pattern(std::string_view text) {
  if (text == "*") return std::string(text);
  const bool suffix = text.starts_with("*.");
  if (!suffix && text.find('*') != std::string_view::npos) {
    return wrong(in_quotes(text) + " has a * that is not the whole first label");
  }
  if (text.find("://") != std::string_view::npos) {
    return wrong(in_quotes(text) + " is a URL; write its host alone");
  }
  auto host = authority_of(suffix ? text.substr(2) : text, text);
  if (!host) return wrong(std::move(host.error()));
  if (!suffix) return host->to_string(0);
  if (host->port) return wrong(in_quotes(text) + " has a port, which only an exact host may have");
  if (host->kind != HostKind::kName) return wrong(in_quotes(text) + " puts * before an address");
  return "*." + host->host;
}

Parsed<std::string> check_origin(std::string_view text) {
  auto origin = authority_of(text, text);
  if (!origin) return wrong(std::move(origin.error()));
  return origin->to_string(0);
}

Parsed<std::string> check_server_name(std::string_view text) {
  auto name = authority_of(text, text);
  if (!name) return wrong(std::move(name.error()));
  if (name->port) return wrong(in_quotes(text) + " has a port, which is no part of a name");
  return name->host;
}

Parsed<std::string> check_connect_to(std::string_view text) {
  return text.starts_with(kUnixPrefix) ? check_unix_path(text) : check_origin(text);
}

Parsed<std::string> check_source_address(std::string_view text) {
  const AddressBytes address = address_bytes(text);
  if (address.bits == 0) return wrong(in_quotes(text) + " is no IP address");
  return text_of(address);
}

Parsed<std::string> check_upstream_name(std::string_view text) {
  const auto is_name_char = [](char c) { return is_name_start(c) || c == '_' || c == '-'; };
  if (text.size() > kLongestName) return wrong(in_quotes(text) + " is longer than 64 characters");
  if (text.empty() || !is_name_start(text.front()) || !std::ranges::all_of(text, is_name_char)) {
    return wrong(in_quotes(text) + " is not a name");
  }
  return std::string(text);
}

Parsed<std::string> check_log_path(std::string_view text) {
  if (text == "stdout") return std::string(text);
  if (!text.starts_with('/')) return wrong(in_quotes(text) + " is not an absolute path");
  return check_file_path(text);
}

Parsed<std::string> check_file_path(std::string_view text) {
  if (text.empty()) return wrong("is empty");
  if (text.size() > kLongestPath || text.find('\0') != std::string_view::npos) {
    return wrong(in_quotes(text) + " is no path");
  }
  return std::string(text);
}

}  // namespace penstock
