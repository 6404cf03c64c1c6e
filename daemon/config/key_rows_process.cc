// Rows of the daemon itself: what it listens on, how it treats the local apps, where it writes.
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
using key_row::number_list;
using key_row::text;
using key_row::value;
using key_row::word;

constexpr std::array kLogLevels = {"trace"sv, "debug"sv, "info"sv, "warning"sv, "error"sv, "off"sv};
constexpr std::array kLogFormats = {"auto"sv, "text"sv, "json"sv};
constexpr std::array kAccessFormats = {"text"sv, "json"sv};
constexpr std::array kOnlyWords = {"all"sv, "errors"sv};

constexpr auto kUpstreamNames = "a list of names of upstreams, or all"sv;
constexpr auto kEgressRules =
    "a list of link_local, metadata, loopback, private, unspecified, any, addresses or CIDRs"sv;
constexpr std::uint64_t kSmallestHead = 1024;
constexpr std::uint64_t kLeastBuffers = std::uint64_t{4} << 20;
constexpr std::uint64_t kMostBuffers = std::uint64_t{1} << 40;

constexpr std::array kRows = {
    text<check_listener_address, &ListenerSettings::address>(
        {"address", "127.0.0.1:3128", kLive,
         "Where apps reach the proxy. Port 0 lets the system choose; localhost is 127.0.0.1. An "
         "address that is not loopback needs allow_clients. systemd:NAME takes the socket that "
         "systemd passes under that name."},
        "an address with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME"),
    text<check_file_mode, &ListenerSettings::mode>(
        {"mode", "0600", kLive, "Who may connect to a unix socket: the mode of its file."},
        "four octal digits in quotes, such as \"0660\""),
    text<check_file_owner, &ListenerSettings::owner>(
        {"owner", "off", kLive,
         "To whom a unix socket's file is given, by name or number. Off, it is the daemon's own."},
        "user or user:group, or off", "off"),
    number_list<check_user_id, &ListenerSettings::allow_uids>(
        {"allow_uids", "all", kLive,
         "The users that may use a unix socket, as the kernel names them, besides what mode says."},
        "a list of user ids, or all", kLargestUserId, "all"),
    list<check_client_rule, &ListenerSettings::allow_clients>(
        {"allow_clients", "auto", kLive,
         "The addresses that may use a TCP listener; others are disconnected. auto: everybody who "
         "reaches a loopback address; elsewhere it has to be written."},
        "a list of loopback, private, any, addresses or CIDRs, or auto", 1, "auto"),
    text<check_upstream_name, &ListenerSettings::upstream>(
        {"upstream", "off", kLive,
         "Base-URL mode: every request of this listener goes to this upstream, so that an app "
         "without proxy support may use http://127.0.0.1:PORT/ as its base URL."},
        "the name of an upstream, or off", "off"),
    list<check_upstream_name, &ListenerSettings::upstreams>(
        {"upstreams", "all", kLive,
         "Only these upstreams may be reached through this listener; others are answered 403."},
        kUpstreamNames, 1, "all"),
    value<&ListenerSettings::allow_browsers>(
        {"allow_browsers", "false", kLive,
         "Takes requests that a web page of another site makes. Off, they are answered 403."}),

    text<check_admin_address, &Config::admin, &AdminSettings::address>(
        {"admin.address", "127.0.0.1:9128", kRestart,
         "Where the daemon says how it is (/pools, /config, /metrics and more) and is told what to "
         "do (/reload, /pools/NAME/pause and more). The file of a unix socket has mode 0600: only "
         "the daemon's user and root get in. A busy default port is a warning, a busy configured "
         "address ends the start."},
        "a loopback address with a port, unix:/path, or off", "off"),
    text<check_public_address, &Config::admin, &AdminSettings::public_address>(
        {"admin.public_address", "off", kRestart,
         "Serves /livez, /readyz and /metrics alone, to anybody who reaches it under any name: for "
         "probes and Prometheus on other machines."},
        "an address with a port, such as 0.0.0.0:9129, or off", "off"),
    number<&Config::workers>(
        {"workers", "auto", kRestart,
         "Threads that serve requests; they share all pools. auto: as many as the process has CPUs "
         "(of its cgroup, if that has fewer), from 1 to 4."},
        1, 64, "auto"),

    number<&Config::client, &ClientSettings::max_connections>(
        {"client.max_connections", "auto", kLive,
         "Connections of local apps at one time. auto: 10000, less where few files may be open."},
        1, kLargestCount, "auto"),
    number<&Config::client, &ClientSettings::max_header_size>(
        {"client.max_header_size", "64KiB", kLive,
         "Request line and fields together; over it 431."},
        kSmallestHead, kLargestSize),
    number<&Config::client, &ClientSettings::max_header_fields>(
        {"client.max_header_fields", "128", kLive, "Fields of a request; over it 431."}, 1,
        kLargestCount),
    value<&Config::client, &ClientSettings::header_timeout>(
        {"client.header_timeout", "10s", kLive,
         "From the first byte of a request to the end of its head; over it 408."}),
    value<&Config::client, &ClientSettings::body_stall>(
        {"client.body_stall", "1m", kLive,
         "No byte of a request's body for so long while we wait for one."}),
    value<&Config::client, &ClientSettings::write_stall>(
        {"client.write_stall", "1m", kLive, "The app takes no byte of its response for so long."}),
    value<&Config::client, &ClientSettings::idle_timeout>(
        {"client.idle_timeout", "10m", kLive,
         "How long an app's connection is kept between requests."}),
    value<&Config::client, &ClientSettings::half_close>(
        {"client.half_close", "false", kLive,
         "An app that shuts its writing side after its request still gets its response. Off, it "
         "has left and its request is cancelled."}),
    text<check_deadline_header, &Config::client, &ClientSettings::deadline_header>(
        {"client.deadline_header", "X-Penstock-Timeout", kLive,
         "The field in which an app says how long its request may take (1.5s): it shortens "
         "timeouts.total and never lengthens it. Malformed: 400."},
        "the name of a field that means nothing else to the proxy, or off", "off"),

    number<&Config::process, &ProcessSettings::max_idle_connections>(
        {"process.max_idle_connections", "2000", kLive,
         "Idle connections to upstreams, over all hosts; the least recently used goes."},
        0, kLargestCount, "unlimited"),
    number<&Config::process, &ProcessSettings::max_upstream_connections>(
        {"process.max_upstream_connections", "auto", kLive,
         "Connections to upstreams of all kinds, over all hosts. Where they are all up, an idle "
         "one "
         "is closed for a request to another host, or it waits. auto: as many as the limit of open "
         "files leaves beside client.max_connections."},
        1, kLargestCount, "auto"),
    number<&Config::process, &ProcessSettings::max_buffers>(
        {"process.max_buffers", "auto", kLive,
         "Bytes on their way through all buffers. Nearing it, bodies of requests are not read, "
         "then "
         "new requests are answered 503; at it, bodies of responses are not read. auto: half the "
         "memory of the cgroup, else 1GiB."},
        kLeastBuffers, kMostBuffers, "auto"),

    list<check_dns_server, &Config::dns, &DnsSettings::servers>(
        {"dns.servers", "system", kLive, "Name servers to ask instead of the system's."},
        "system, or a list of address[:port]", 1, "system"),
    value<&Config::dns, &DnsSettings::attempt_timeout>(
        {"dns.attempt_timeout", "1s", kLive, "How long one attempt of a look-up waits."}),
    number<&Config::dns, &DnsSettings::attempts>(
        {"dns.attempts", "2", kLive,
         "Attempts of a look-up. Together they must fit into timeouts.resolve."},
        1, 10),
    value<&Config::dns, &DnsSettings::min_ttl>(
        {"dns.min_ttl", "1s", kLive, "An answer is kept at least so long."}),
    value<&Config::dns, &DnsSettings::max_ttl>(
        {"dns.max_ttl", "5m", kLive, "An answer is kept at most so long."}),
    value<&Config::dns, &DnsSettings::negative_ttl>(
        {"dns.negative_ttl", "5s", kLive,
         "How long it is kept that a name does not exist or has no address. Off, it is asked for "
         "each time."}),
    value<&Config::dns, &DnsSettings::serve_stale>(
        {"dns.serve_stale", "1h", kLive,
         "How long after its end an answer is used while DNS does not answer. Off, never."}),
    value<&Config::dns, &DnsSettings::forget_after>(
        {"dns.forget_after", "10m", kLive,
         "An address that was absent from every good answer for so long has left its name. Off, "
         "none ever does."}),

    list<check_egress_rule, &Config::egress, &EgressSettings::deny>(
        {"egress.deny", "[link_local, metadata]", kNewConnections,
         "Addresses that are never dialled, checked after the name was looked up. For clients of a "
         "listener that is neither a unix socket nor loopback this machine itself is denied too: "
         "loopback, unspecified, and every address of an interface."},
        kEgressRules, 0),
    list<check_egress_rule, &Config::egress, &EgressSettings::allow>(
        {"egress.allow", "[]", kNewConnections, "Addresses that may be dialled all the same."},
        kEgressRules, 0),
    number_list<check_port, &Config::egress, &EgressSettings::connect_ports>(
        {"egress.connect_ports", "[443]", kLive,
         "Ports that CONNECT may ask for. Port 80 of an upstream's host is always taken: requests "
         "inside such a tunnel are pooled."},
        "a list of ports, or any", 65535, "any"),

    word<&Config::log, &LogSettings::level>(
        {"log.level", "info", kLive, "The least serious lines of the daemon's own log."},
        kLogLevels),
    word<&Config::log, &LogSettings::format>(
        {"log.format", "auto", kLive, "auto: text on a terminal, JSON otherwise."}, kLogFormats),

    text<check_log_path, &Config::access_log, &AccessLogSettings::path>(
        {"access_log.path", "stdout", kLive, "Where a line per request goes."},
        "stdout, an absolute path, or off", "off"),
    word<&Config::access_log, &AccessLogSettings::json>(
        {"access_log.format", "json", kLive, "One JSON object a line, or text for people."},
        kAccessFormats),
    word<&Config::access_log, &AccessLogSettings::only_errors>(
        {"access_log.only", "errors", kLive,
         "errors: only what failed or was slow. all: every request, thinned by sample."},
        kOnlyWords),
    value<&Config::access_log, &AccessLogSettings::slow>(
        {"access_log.slow", "1s", kLive, "A request that took longer is written too."}),
    value<&Config::access_log, &AccessLogSettings::sample>(
        {"access_log.sample", "1.0", kLive,
         "The share that is written of what neither failed nor was slow, where only is all."}),
    value<&Config::access_log, &AccessLogSettings::query>(
        {"access_log.query", "false", kLive,
         "Writes the query with the path; it may hold secrets."}),

    value<&Config::shutdown, &ShutdownSettings::grace>(
        {"shutdown.grace", "25s", kLive,
         "How long running exchanges may take to end after SIGTERM."}),
    value<&Config::shutdown, &ShutdownSettings::wait_for_clients>(
        {"shutdown.wait_for_clients", "off", kLive,
         "How long of the grace everything is served as usual, only /readyz says 503: for apps "
         "that still call out while they end. Over sooner once no app was connected for 1s."}),

    value<&Config::reload, &ReloadSettings::watch>(
        {"reload.watch", "off", kLive,
         "How often the file and those it names are looked at; a change that two looks agree in "
         "is a reload."}),
};

}  // namespace

std::span<const KeyRow> process_key_rows() { return kRows; }

}  // namespace penstock
