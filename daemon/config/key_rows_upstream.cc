// Rows of an upstream and its routes, and of the policy that `defaults` and each of them may set.
#include <array>

#include "config/key_row.h"
#include "config/key_rows.h"
#include "config/message_parts.h"

namespace penstock {
namespace {

using enum ReloadClass;
using namespace std::string_view_literals;
using key_row::list;
using key_row::number;
using key_row::pattern;
using key_row::required;
using key_row::section_switch;
using key_row::text;
using key_row::value;
using key_row::word;
using key_row::zero_allowed;

using Policy = UpstreamPolicy;
constexpr auto kPool = &Policy::pool;
constexpr auto kTimeouts = &RequestPolicy::timeouts;
constexpr auto kRetry = &RequestPolicy::retry;
constexpr auto kDrain = &Policy::drain;
constexpr auto kTls = &Policy::tls;

constexpr std::array kSchemes = {"auto"sv, "https"sv, "same"sv, "http"sv};
constexpr std::array kRedirects = {"rewrite"sv, "pass"sv};
constexpr std::array kCookies = {"pass"sv, "strip_secure"sv};
constexpr std::array kWarmups = {"background"sv, "required"sv};
constexpr std::array kPoolOrders = {"lifo"sv, "fifo"sv};
constexpr std::array kTlsVersions = {"1.2"sv, "1.3"sv};
constexpr std::uint64_t kSmallestHead = 1024;

constexpr std::array kRows = {
    required(pattern(
        text<check_upstream_name, &UpstreamSettings::name>(
            {"name", "default", kLive, "Names the upstream in logs, metrics and listeners."},
            "lower-case letters, digits, - and _, at most 64, first a letter or digit"),
        "^[a-z0-9][a-z0-9_-]{0,63}$")),
    required(list<check_host_pattern, &UpstreamSettings::hosts>(
        {"hosts", "[\"*\"]", kLive,
         "The hosts of requests that come here: exact, host:port, \"*.suffix\" or \"*\". The exact "
         "host wins, then the longest suffix, then *; host:port beats host."},
        "a list of host, host:port, \"*.suffix\" or \"*\"", 1)),
    text<check_origin, &UpstreamSettings::origin>(
        {"origin", "off", kNewConnections,
         "The host[:port] that is dialled, sent as Host and SNI, and verified. off: the request's "
         "own host."},
        "host[:port], or off", "off"),

    list<check_method, &RouteSettings::methods>(
        {"methods", "all", kLive, "The methods of the requests that this route takes."},
        "a list of methods in capitals, or all", 0, "all"),
    text<check_path_prefix, &RouteSettings::path_prefix>(
        {"path_prefix", "all", kLive,
         "How the path and query of the requests that this route takes begin, as the app writes "
         "them: /reports takes /reports/1 and /reportsx."},
        "a text that begins with /, or all", "all"),

    word<&Policy::scheme>(
        {"scheme", "https", kNewConnections,
         "https: TLS; port 80 or none becomes 443, another port stays. auto, the default of an "
         "upstream for *: https for port 80, 443 or none; another port, an address, localhost or a "
         "name without a dot as the URL says. same: as the URL says. http: plaintext. A URL that "
         "says https is always TLS."},
        kSchemes),
    text<check_connect_to, &Policy::connect_to>(
        {"connect_to", "off", kNewConnections,
         "Dials this instead; Host, SNI and verification stay those of the request or origin."},
        "host[:port], unix:/path, or off", "off"),
    text<check_source_address, &Policy::source_address>(
        {"source_address", "off", kNewConnections,
         "The address of this machine to dial from (TCP only). Upstream addresses of the other "
         "family are left out."},
        "an IP address without a port, or off", "off"),
    word<&Policy::redirects>(
        {"redirects", "rewrite", kLive,
         "rewrite: a Location that leads back to the host of the request by https becomes http:// "
         "(or a path alone, for a base-URL request), so that the app comes back through the proxy; "
         "never the URL just asked. pass: as it came."},
        kRedirects),
    word<&Policy::cookies>(
        {"cookies", "pass", kLive,
         "strip_secure: drops the Secure attribute of cookies where the app's side is http://, so "
         "that it sends them again. pass: as they came."},
        kCookies),
    value<&Policy::via>({"via", "true", kLive, "Adds Via to requests and responses."}),

    number<kPool, &PoolSettings::max_connections>(
        {"pool.max_connections", "1000", kLive,
         "Connections per host:port of this upstream, exactly: dialing, busy and idle ones. A "
         "request over it waits."},
        1, kLargestCount, "unlimited"),
    number<kPool, &PoolSettings::max_idle>(
        {"pool.max_idle", "100", kLive,
         "Idle connections kept per host:port; 0 keeps none. Where it is not set, it is "
         "max_connections if that is set, else 100."},
        0, kLargestCount, "unlimited"),
    number<kPool, &PoolSettings::min_idle>(
        {"pool.min_idle", "0", kLive,
         "Idle connections opened at start and kept, for each exact host or for origin. At most "
         "max_idle."},
        0, kLargestCount),
    word<kPool, &PoolSettings::warmup_required>(
        {"pool.warmup", "background", kLive,
         "required: /readyz says no until min_idle connections were opened at start."},
        kWarmups),
    number<kPool, &PoolSettings::max_connecting>(
        {"pool.max_connecting", "16", kLive,
         "Dials under way at once per host:port, so that an upstream that comes back is not "
         "flattened; a request over it waits for one of them. At most max_connections."},
        1, kLargestCount, "unlimited"),
    number<kPool, &PoolSettings::max_waiting>(
        {"pool.max_waiting", "1000", kLive,
         "Requests that may wait for a connection; over it 503 at once. 0: none waits."},
        0, kLargestCount, "unlimited"),
    value<kPool, &PoolSettings::idle_timeout>(
        {"pool.idle_timeout", "55s", kLive,
         "How long an idle connection is kept; keep it below the server's own time."}),
    value<kPool, &PoolSettings::reuse>(
        {"pool.reuse", "true", kLive, "false: a connection for each request."}),
    word<kPool, &PoolSettings::order>({"pool.order", "lifo", kLive,
                                       "Which idle connection serves next. lifo: the one used "
                                       "last, so that the surplus ages out. "
                                       "fifo: the one idle longest, so that all are used."},
                                      kPoolOrders),
    value<kPool, &PoolSettings::max_lifetime>({"pool.max_lifetime", "30m", kLive,
                                               "How old a connection may become, less up to a "
                                               "tenth by chance; it never ends a request."}),
    number<kPool, &PoolSettings::max_requests>(
        {"pool.max_requests", "unlimited", kLive, "Requests that one connection serves."}, 1,
        kLargestCount, "unlimited"),
    value<kPool, &PoolSettings::tcp_keepalive>({"pool.tcp_keepalive", "30s", kNewConnections,
                                                "Idle time and interval of TCP keep-alive probes; "
                                                "after three without an answer the peer is "
                                                "gone."}),

    value<kTimeouts, &TimeoutSettings::queue>(
        {"timeouts.queue", "5s", kLive, "Waiting for a connection; over it 503."}),
    value<kTimeouts, &TimeoutSettings::resolve>(
        {"timeouts.resolve", "3s", kLive, "Looking up the name, all attempts together."}),
    value<kTimeouts, &TimeoutSettings::connect>(
        {"timeouts.connect", "5s", kLive, "TCP connect, all addresses together."}),
    value<kTimeouts, &TimeoutSettings::tls_handshake>(
        {"timeouts.tls_handshake", "5s", kLive, "From TCP connected to the end of the handshake."}),
    value<kTimeouts, &TimeoutSettings::write_stall>(
        {"timeouts.write_stall", "30s", kLive,
         "The upstream takes no byte for so long while we have some for it."}),
    value<kTimeouts, &TimeoutSettings::response_header>(
        {"timeouts.response_header", "5m", kLive,
         "From the whole request written to the final response head."}),
    value<kTimeouts, &TimeoutSettings::body_stall>(
        {"timeouts.body_stall", "5m", kLive,
         "No byte of the response's body for so long while we want to read."}),
    section_switch(number<kTimeouts, &TimeoutSettings::min_rate_size>(
        {"timeouts.min_rate.size", "off", kLive,
         "The least of a response's body that has to come in each window; a slower one is cut. "
         "Counts only while we want to read; never for text/event-stream and gRPC."},
        1, kLargestSize, "off")),
    value<kTimeouts, &TimeoutSettings::min_rate_window>(
        {"timeouts.min_rate.window", "20s", kLive, "How long each of these windows is."}),
    value<kTimeouts, &TimeoutSettings::exchange>(
        {"timeouts.exchange", "off", kLive,
         "From the first byte of the request written to the last byte of the response read: the "
         "same time on a new connection and on a reused one."}),
    value<kTimeouts, &TimeoutSettings::total>(
        {"timeouts.total", "off", kLive,
         "From the request's head read to the last byte of the response delivered."}),
    zero_allowed(value<kTimeouts, &TimeoutSettings::expect_continue>(
        {"timeouts.expect_continue", "1s", kLive,
         "With Expect: 100-continue, how long the app waits for the upstream's word before we send "
         "it the 100 ourselves. 0: at once, and the upstream is not asked. off: for ever."})),
    value<kTimeouts, &TimeoutSettings::tunnel_idle>(
        {"timeouts.tunnel_idle", "1h", kLive,
         "A CONNECT or Upgrade tunnel without a byte either way; no other limit applies to it."}),

    number<kRetry, &RetrySettings::attempts>(
        {"retry.attempts", "1", kLive,
         "Further tries, on a new connection, when a reused one turned out dead before any byte of "
         "the response. 0: none."},
        0, 10),
    number<kRetry, &RetrySettings::buffer>(
        {"retry.buffer", "64KiB", kLive, "The largest body that is kept for another try."}, 0,
        kLargestSize),
    value<kRetry, &RetrySettings::budget_ratio>(
        {"retry.budget.ratio", "0.2", kLive,
         "How many tries the upstream's requests may cause, as a share of them."}),
    number<kRetry, &RetrySettings::budget_min_per_second>(
        {"retry.budget.min_per_second", "3", kLive, "Tries a second that are always allowed."}, 0,
        kLargestCount),

    number<kDrain, &DrainSettings::size>(
        {"drain.size", "256KiB", kLive,
         "How much of a response that nobody waits for any more is read to save its connection. 0: "
         "the connection closes."},
        0, kLargestSize),
    value<kDrain, &DrainSettings::time>(
        {"drain.time", "100ms", kLive, "For how long such a response is read."}),

    number<&Policy::max_response_header_size>(
        {"max_response_header_size", "64KiB", kLive,
         "Response heads of one request, interim ones too; over it 502."},
        kSmallestHead, kLargestSize),

    text<check_file_path, kTls, &TlsSettings::ca_file>(
        {"tls.ca_file", "system", kNewConnections,
         "PEM file of the authorities to trust instead of the system's."},
        "a path (relative to this file's folder), or system", "system"),
    text<check_file_path, kTls, &TlsSettings::extra_ca_file>(
        {"tls.extra_ca_file", "off", kNewConnections,
         "PEM file of authorities to trust besides the others."},
        "a path (relative to this file's folder), or off", "off"),
    text<check_file_path, kTls, &TlsSettings::cert_file>(
        {"tls.cert_file", "off", kNewConnections,
         "PEM file of the client certificate and its chain; key_file goes with it."},
        "a path (relative to this file's folder), or off", "off"),
    text<check_file_path, kTls, &TlsSettings::key_file>(
        {"tls.key_file", "off", kNewConnections,
         "PEM file of the client certificate's key, not encrypted."},
        "a path (relative to this file's folder), or off", "off"),
    text<check_server_name, kTls, &TlsSettings::server_name>(
        {"tls.server_name", "auto", kNewConnections,
         "The name asked for (SNI) and verified. auto: the authority's host."},
        "a host without a port, or auto", "auto"),
    word<kTls, &TlsSettings::min_version>(
        {"tls.min_version", "1.2", kNewConnections, "The oldest TLS version that is spoken."},
        kTlsVersions),
    value<kTls, &TlsSettings::verify>(
        {"tls.verify", "true", kNewConnections,
         "false: any certificate will do, so that anybody in between may read and change all. "
         "Warned of at start and at every reload."}),
    number<kTls, &TlsSettings::session_cache>(
        {"tls.session_cache", "100", kNewConnections,
         "Hosts whose TLS sessions are kept for resumption; 0 keeps none."},
        0, kLargestCount),
};

}  // namespace

std::span<const KeyRow> upstream_key_rows() { return kRows; }

}  // namespace penstock
