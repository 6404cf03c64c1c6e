// The keys that hold names and addresses: each check returns the text in its one normal form
// (lower case, no trailing dot, canonical IPv6), or what is wrong with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/values.h"

namespace penstock {

// What stands behind an address of a listener, in its normal form.
enum class ListenerKind : std::uint8_t { kTcp, kUnix, kSystemd };
ListenerKind listener_kind(std::string_view address);
// The path of unix:/path, the name of systemd:NAME.
std::string_view socket_name(std::string_view address);
bool is_loopback_address(std::string_view address);

// A literal with a port, unix:/path, systemd:NAME.
Parsed<std::string> check_listener_address(std::string_view text);
Parsed<std::string> check_admin_address(
    std::string_view text);  // loopback literal with a port, unix:/path
Parsed<std::string> check_public_address(std::string_view text);  // any literal with a port
Parsed<std::string> check_dns_server(std::string_view text);      // literal, port optional
Parsed<std::string> check_egress_rule(std::string_view text);     // a name or a CIDR
Parsed<std::string> check_client_rule(std::string_view text);     // as well, of fewer names
Parsed<std::string> check_file_mode(std::string_view text);       // four octal digits
Parsed<std::string> check_file_owner(std::string_view text);      // user[:group]
Parsed<std::string> check_port(std::string_view text);            // 1 to 65535
Parsed<std::string> check_user_id(std::string_view text);
Parsed<std::string> check_host_pattern(std::string_view text);    // exact[:port], *.suffix, *
Parsed<std::string> check_origin(std::string_view text);          // host[:port]
Parsed<std::string> check_server_name(std::string_view text);     // host
Parsed<std::string> check_connect_to(std::string_view text);      // host[:port], unix:/path
Parsed<std::string> check_source_address(std::string_view text);  // literal without a port
Parsed<std::string> check_upstream_name(std::string_view text);
Parsed<std::string> check_log_path(std::string_view text);   // stdout or an absolute path
Parsed<std::string> check_file_path(std::string_view text);  // any text that can be a path

}  // namespace penstock
