// The settings as values: plain structs whose defaults are the daemon's defaults.
//
// config/loader fills them from YAML, config/validate checks how they fit together; each module is
// handed its own struct. A Config is immutable once loaded and shared as a snapshot: an exchange
// keeps the policy it began with, whatever is reloaded meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"

namespace penstock {

// nullopt: off, no limit.
using Limit = std::optional<Duration>;
// nullopt: the value that the field's comment names (`auto`).
using Count = std::optional<std::uint32_t>;
// `unlimited` where a count may be written so: larger than any count there will be.
inline constexpr std::uint32_t kUnlimitedCount = UINT32_MAX;

struct ListenerSettings {
  // host:port or [v6]:port with an IP literal, unix:/path or systemd:NAME; canonical
  std::string address = "127.0.0.1:3128";
  std::string mode = "0600";               // of a unix socket's file, octal
  std::string owner;                       // of that file, user[:group]; "": the daemon's own
  std::vector<std::string> allow_uids;     // users of a unix socket; empty: whomever mode lets
  std::vector<std::string> allow_clients;  // names or CIDRs; empty: all, where TCP is loopback
  std::vector<std::string> upstreams;      // only these may be reached here; empty: all
  std::string upstream;                    // base-URL mode: every request goes there
  bool allow_browsers = false;
};

struct AdminSettings {
  std::string address = "127.0.0.1:9128";  // "" is off
  bool address_is_default = true;  // a busy default port is a warning, a configured one an error
  std::string public_address;      // "" is off; probes and metrics only
};

struct ClientSettings {
  Count max_connections;  // nullopt: auto, from RLIMIT_NOFILE, at most 10000
  std::uint64_t max_header_size = 64 * 1024;
  std::uint32_t max_header_fields = 128;
  Limit header_timeout = std::chrono::seconds(10);
  Limit body_stall = std::chrono::minutes(1);
  Limit write_stall = std::chrono::minutes(1);
  Limit idle_timeout = std::chrono::minutes(10);
  bool half_close = false;
  std::string deadline_header = "X-Penstock-Timeout";  // "" is off
};

struct ProcessSettings {
  std::uint32_t max_idle_connections = 2000;  // or kUnlimitedCount
  Count max_upstream_connections;             // nullopt: auto, from RLIMIT_NOFILE
  std::uint64_t max_buffers = 0;              // bytes; 0: auto, from the cgroup's memory
};

struct DnsSettings {
  std::vector<std::string> servers;  // address, address:port or [v6]:port; empty: the system's
  Duration attempt_timeout = std::chrono::seconds(1);
  std::uint32_t attempts = 2;
  Duration min_ttl = std::chrono::seconds(1);
  Duration max_ttl = std::chrono::minutes(5);
  Limit negative_ttl = std::chrono::seconds(5);   // off: not kept
  Limit serve_stale = std::chrono::hours(1);      // off: never
  Limit forget_after = std::chrono::minutes(10);  // off: never
};

struct EgressSettings {
  std::vector<std::string> deny = {"link_local", "metadata"};
  std::vector<std::string> allow;
  std::vector<std::string> connect_ports = {"443"};  // of CONNECT; empty: any
};

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kAuto;
};

struct AccessLogSettings {
  std::string path = "stdout";  // a file, "stdout"; "" is off
  bool json = true;
  bool only_errors = true;               // only: errors | all
  Limit slow = std::chrono::seconds(1);  // slower ones are written too
  double sample = 1.0;                   // of what is neither an error nor slow
  bool query = false;                    // write the query with the path
};

struct ShutdownSettings {
  Duration grace = std::chrono::seconds(25);
  Limit wait_for_clients;  // a part of the grace
};

struct ReloadSettings {
  Limit watch;  // how often the files are looked at
};

enum class RedirectMode : std::uint8_t { kRewrite, kPass };
enum class CookieMode : std::uint8_t { kPass, kStripSecure };
enum class SchemeMode : std::uint8_t { kAuto, kHttps, kSame, kHttp };

// Which of the idle connections serves next: the one used last, or the one that has rested longest.
enum class PoolOrder : std::uint8_t { kLifo, kFifo };

struct PoolSettings {
  std::uint32_t max_connections = 1000;  // or kUnlimitedCount
  // Where the file does not set it, the loader takes max_connections if that is set, else 100. It
  // is never above max_connections.
  std::uint32_t max_idle = 100;
  // Where the file does not set it, it gives way to a smaller max_connections. Or kUnlimitedCount.
  std::uint32_t max_connecting = 16;
  std::uint32_t min_idle = 0;
  bool warmup_required = false;      // ready only once min_idle were opened
  std::uint32_t max_waiting = 1000;  // or kUnlimitedCount
  Limit idle_timeout = std::chrono::seconds(55);
  bool reuse = true;
  PoolOrder order = PoolOrder::kLifo;
  Limit max_lifetime = std::chrono::minutes(30);
  std::uint32_t max_requests = kUnlimitedCount;  // of one connection
  Limit tcp_keepalive = std::chrono::seconds(30);
};

struct TimeoutSettings {
  Limit queue = std::chrono::seconds(5);
  Limit resolve = std::chrono::seconds(3);
  Limit connect = std::chrono::seconds(5);
  Limit tls_handshake = std::chrono::seconds(5);
  Limit write_stall = std::chrono::seconds(30);
  Limit response_header = std::chrono::minutes(5);
  Limit body_stall = std::chrono::minutes(5);
  std::uint64_t min_rate_size = 0;  // bytes of a response's body in each window; 0 is off
  Duration min_rate_window = std::chrono::seconds(20);
  Limit exchange;
  Limit total;
  Limit expect_continue =
      std::chrono::seconds(1);  // zero: sent at once; off: the app waits for the upstream
  Limit tunnel_idle = std::chrono::hours(1);
};

struct RetrySettings {
  std::uint32_t attempts = 1;  // tries after the first, on a reused connection that turned out dead
  std::uint64_t buffer = 64 * 1024;  // bytes of a request's body kept for another try
  double budget_ratio = 0.2;         // of the upstream's requests
  std::uint32_t budget_min_per_second = 3;
};

struct TlsSettings {
  std::string ca_file;        // replaces the system's; "" is the system's
  std::string extra_ca_file;  // adds to it
  std::string cert_file;
  std::string key_file;
  std::string server_name;  // "": the authority's host
  int min_version = 12;     // 12 or 13
  bool verify = true;
  std::uint32_t session_cache = 100;
};

// How much of a response that was given up is read to save its connection.
struct DrainSettings {
  std::uint64_t size = 256 * 1024;  // 0: none, the connection closes
  Limit time = std::chrono::milliseconds(100);
};

// What a route of an upstream may set for some of its requests.
struct RequestPolicy {
  TimeoutSettings timeouts;
  RetrySettings retry;
  // The keys of `timeouts` that the file sets (bit = index of the key in TimeoutSettings' order):
  // when a limit that the file does not set ends a request, a warning names the key.
  std::uint32_t timeouts_set = 0;
};

// What an upstream does with a request; `defaults`, overridden key by key.
struct UpstreamPolicy : RequestPolicy {
  SchemeMode scheme = SchemeMode::kHttps;  // the loader makes it kAuto for "*", unless it is set
  std::string connect_to;                  // host[:port] or unix:/path; "" is off
  std::string source_address;              // an IP literal; "" is off
  RedirectMode redirects = RedirectMode::kRewrite;
  CookieMode cookies = CookieMode::kPass;
  bool via = true;
  PoolSettings pool;
  DrainSettings drain;
  std::uint64_t max_response_header_size = 64 * 1024;
  TlsSettings tls;
  // Bytes of the files named in `tls`, read at load, so that a change of content is a change of
  // identity and the daemon needs no file again while it runs.
  std::string ca_pem, extra_ca_pem, cert_pem, key_pem;
};

// Other limits for some requests, on the same connections: the first route that fits is taken.
struct RouteSettings {
  std::vector<std::string> methods;  // in capitals; empty: all
  std::string path_prefix;           // of path and query, as the app wrote them; "": all
  RequestPolicy policy;              // the upstream's, overridden key by key
};

struct UpstreamSettings {
  std::string name;
  std::vector<std::string> hosts;  // exact, "*.suffix", host:port, "*"; lower case, no trailing dot
  std::string origin;              // host[:port]; "": the request's own host
  UpstreamPolicy policy;
  std::vector<RouteSettings> routes;
};

struct Config {
  std::vector<ListenerSettings> listeners;
  AdminSettings admin;
  Count workers;  // nullopt: auto, the CPUs that the process may use, 1 to 4
  ClientSettings client;
  ProcessSettings process;
  DnsSettings dns;
  EgressSettings egress;
  LogSettings log;
  AccessLogSettings access_log;
  ShutdownSettings shutdown;
  ReloadSettings reload;
  std::vector<UpstreamSettings> upstreams;
};

using ConfigSnapshot = std::shared_ptr<const Config>;

}  // namespace penstock
