#include "proxy/local_reply.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "http/field_list.h"

namespace penstock {

namespace {

constexpr std::size_t kMaxDetailsBytes = 256;
constexpr std::string_view kRetryAfterSeconds = "1";

std::string hex_id(std::uint64_t id) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(id));
  return text;
}

std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3fs", std::chrono::duration<double>(duration).count());
  return text;
}

// What the operator or the app's author can do about it.
std::string_view advice(const Error& error) {
  switch (error.code) {
    case ErrorCode::kConnectionLimitReached:
      if (error.source == ErrorSource::kInternal)
        return "Raise the limit of open files (LimitNOFILE=, ulimit -n), or lower "
               "client.max_connections.";
      return "Raise pool.max_connections of the upstream, and process.max_upstream_connections "
             "where it is lower, or send fewer requests at once.";
    case ErrorCode::kDestinationUnavailable:
      return "POST /pools/NAME/resume on the admin address ends a pause.";
    case ErrorCode::kDnsTimeout:
    case ErrorCode::kDnsError:
      return "Check the host's name and the DNS servers (dns.servers).";
    case ErrorCode::kHttpRequestDenied:
      return "Check the upstreams' `hosts` and the listener's `upstreams`.";
    case ErrorCode::kDestinationIpProhibited:
      return "It is refused so that no app reaches credentials of this machine by accident; "
             "egress.allow permits an address.";
    case ErrorCode::kConnectionRefused:
      return "Nothing listens there: check the host, the port and connect_to.";
    case ErrorCode::kConnectionTimeout:
      return "Check that the address can be reached, or raise the limit.";
    case ErrorCode::kDestinationIpUnroutable:
      return "There is no route to the address from here.";
    case ErrorCode::kTlsCertificateError:
      return "`penstock explain URL` shows which tls settings are in force.";
    case ErrorCode::kTlsProtocolError:
    case ErrorCode::kTlsAlertReceived:
      return "Check that the port speaks TLS (`scheme: http` where it does not) and "
             "tls.min_version.";
    case ErrorCode::kConnectionWriteTimeout:
    case ErrorCode::kHttpResponseTimeout:
      return "The upstream is too slow for the limit, or the limit too low for it.";
    case ErrorCode::kConnectionTerminated:
    case ErrorCode::kHttpProtocolError:
    case ErrorCode::kHttpResponseTransferCoding:
      return "The upstream is at fault: look at its log.";
    case ErrorCode::kHttpResponseHeaderSize:
    case ErrorCode::kHttpResponseHeaderSectionSize:
      if (error.limit_key.empty()) return "A response may have 1,000 fields at most.";
      return "Raise max_response_header_size, or send less.";
    case ErrorCode::kProxyLoopDetected:
      return "A destination leads back to this proxy: check connect_to and DNS.";
    case ErrorCode::kProxyInternalResponse:
      return "The proxy is going away: send the request again.";
    case ErrorCode::kProxyInternalError:
      if (error.limit_key == "process.max_buffers")
        return "Raise process.max_buffers and the memory of the cgroup, or send fewer requests at "
               "once.";
      return "See the proxy's log.";
    case ErrorCode::kHttpRequestError:  // the detail says what is wrong with it
    case ErrorCode::kConnectionReadTimeout:
    case ErrorCode::kHttpResponseIncomplete:
    case ErrorCode::kHttpResponseTrailerSectionSize:
    case ErrorCode::kHttpUpgradeFailed:
    case ErrorCode::kClientAborted:
    case ErrorCode::kClientWriteTimeout:
      return "";
  }
  return "";
}

// Visible ASCII only: the text may hold what a stranger sent, and goes into a field or a page.
std::string printable(std::string_view text, std::string_view refused) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const bool fine = c >= 0x20 && c < 0x7f && refused.find(c) == std::string_view::npos;
    out += fine ? c : c == '"' ? '\'' : '?';
  }
  return out;
}

std::string limit_text(const LocalReply& reply) {
  if (reply.error.limit_key.empty()) return {};
  std::string text(reply.error.limit_key);
  if (!reply.limit_value.empty()) text += ' ' + reply.limit_value;
  return text;
}

// Limits of counts and sizes have a key too, but no time is spent on them.
bool is_time_limit(const LocalReply& reply) { return !reply.limit_value.empty(); }

// RFC 9209 section 2; a structured-field string holds visible ASCII, quote and backslash escaped.
std::string proxy_status(const LocalReply& reply) {
  std::string details;
  if (reply.error.phase) details += "phase=" + std::string(to_string(*reply.error.phase)) + ' ';
  if (const std::string limit = limit_text(reply); !limit.empty()) {
    details += "limit=" + limit + ' ';
    if (is_time_limit(reply)) details += "spent=" + seconds(reply.spent) + ' ';
  }
  details += "id=" + hex_id(reply.request_id);
  const std::string what = printable(reply.error.detail, "\"\\");
  if (details.size() + what.size() + 3 <= kMaxDetailsBytes) details += " (" + what + ')';
  return "penstock; error=" + std::string(token(reply.error.code)) + "; details=\"" + details + '"';
}

std::string phases_text(const LocalReply& reply) {
  std::string text;
  for (int i = 0; i < kPhaseCount; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (!reply.timeline.happened(phase)) continue;
    if (!text.empty()) text += ", ";
    text += std::string(to_string(phase)) + ' ' + seconds(reply.timeline.spent(phase, reply.now));
  }
  return text;
}

std::string text_body(const LocalReply& reply) {
  const Error& error = reply.error;
  std::string body =
      "penstock: " + std::string(token(error.code)) + "\n" + printable(error.detail, "") + "\n";
  if (error.phase) body += "phase: " + std::string(to_string(*error.phase)) + "\n";
  if (const std::string limit = limit_text(reply); !limit.empty()) {
    body += "limit: " + limit +
            (is_time_limit(reply) ? " (spent " + seconds(reply.spent) + ")\n" : "\n");
  }
  if (const std::string phases = phases_text(reply); !phases.empty())
    body += "phases: " + phases + "\n";
  if (const std::string_view what = advice(error); !what.empty()) body += std::string(what) + "\n";
  return body + "request id: " + hex_id(reply.request_id) + "\n";
}

void add_member(std::string& json, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  json += (json.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":\"";
  for (const char c : printable(value, "")) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  json += '"';
}

std::string json_body(const LocalReply& reply, std::uint16_t status) {
  const Error& error = reply.error;
  std::string json = "{";
  add_member(json, "title", token(error.code));
  json += ",\"status\":" + std::to_string(status);
  add_member(json, "detail", error.detail);
  if (error.phase) add_member(json, "phase", to_string(*error.phase));
  add_member(json, "limit", error.limit_key);
  add_member(json, "limit_value", reply.limit_value);
  if (is_time_limit(reply)) add_member(json, "spent", seconds(reply.spent));
  add_member(json, "phases", phases_text(reply));
  add_member(json, "advice", advice(error));
  add_member(json, "request_id", hex_id(reply.request_id));
  return json + "}\n";
}

// The q parameter of a media range; 1 where there is none or it makes no sense.
double weight_of(std::string_view range) {
  const std::size_t at = range.find(";q=");
  const std::size_t spaced = range.find("; q=");
  const std::size_t begin = at != std::string_view::npos       ? at + 3
                            : spaced != std::string_view::npos ? spaced + 4
                                                               : range.size();
  double weight = 1;
  std::from_chars(range.data() + begin, range.data() + range.size(), weight);
  return weight;
}

}  // namespace

std::uint16_t status_of(const Error& error) {
  if (error.status != 0) return error.status;
  switch (error.code) {
    case ErrorCode::kDnsTimeout:
    case ErrorCode::kConnectionTimeout:
    case ErrorCode::kConnectionReadTimeout:
    case ErrorCode::kConnectionWriteTimeout:
    case ErrorCode::kHttpResponseTimeout:
      return 504;
    case ErrorCode::kDnsError:
    case ErrorCode::kConnectionRefused:
    case ErrorCode::kDestinationIpUnroutable:
    case ErrorCode::kConnectionTerminated:
    case ErrorCode::kTlsProtocolError:
    case ErrorCode::kTlsCertificateError:
    case ErrorCode::kTlsAlertReceived:
    case ErrorCode::kHttpResponseIncomplete:
    case ErrorCode::kHttpResponseHeaderSectionSize:
    case ErrorCode::kHttpResponseHeaderSize:
    case ErrorCode::kHttpResponseTrailerSectionSize:
    case ErrorCode::kHttpResponseTransferCoding:
    case ErrorCode::kHttpUpgradeFailed:
    case ErrorCode::kHttpProtocolError:
    case ErrorCode::kProxyLoopDetected:
      return 502;
    case ErrorCode::kConnectionLimitReached:
    case ErrorCode::kDestinationUnavailable:
    case ErrorCode::kProxyInternalResponse:
      return 503;
    // RFC 9209 recommends 502; a refusal of ours is not the upstream's fault.
    case ErrorCode::kDestinationIpProhibited:
    case ErrorCode::kHttpRequestDenied:
      return 403;
    case ErrorCode::kHttpRequestError:
      return 400;
    case ErrorCode::kProxyInternalError:
      return 500;
    case ErrorCode::kClientAborted:
    case ErrorCode::kClientWriteTimeout:
      return 499;
  }
  return 500;
}

std::string_view reason_phrase(std::uint16_t status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 408:
      return "Request Timeout";
    case 421:
      return "Misdirected Request";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

// RFC 9110 section 12.5.1: the range with the higher weight wins, at equal weights the first. A
// wildcard says nothing about the two.
bool prefers_json(const RequestHead& head) {
  double best = 0;
  bool json = false;
  for (const Field& field : head.fields) {
    if (field.id != FieldId::kAccept) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(','), rest.size());
      const std::string_view range = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const bool is_json = range.find("/json") != std::string_view::npos ||
                           range.find("+json") != std::string_view::npos;
      const bool is_text = range.find("text/") != std::string_view::npos;
      const double weight = weight_of(range);
      if ((is_json || is_text) && weight > best) {
        best = weight;
        json = is_json;
      }
    }
  }
  return json;
}

std::string format_server_timing(const Timeline& timeline, MonotonicTime now) {
  std::string text;
  const auto add = [&text](std::string_view name, Duration spent) {
    char ms[32];
    std::snprintf(ms, sizeof ms, "%.3f", std::chrono::duration<double, std::milli>(spent).count());
    text.append(text.empty() ? "" : ", ").append(name).append(";dur=").append(ms);
  };
  for (int i = 0; i < kPhaseCount; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (timeline.happened(phase) && phase != Phase::kReceive)
      add(to_string(phase), timeline.spent(phase, now));
  }
  if (timeline.head_read != kNever) add("total", now - timeline.head_read);
  return text;
}

std::string format_local_reply(const LocalReply& reply) {
  const std::uint16_t status = status_of(reply.error);
  const std::string body = reply.json ? json_body(reply, status) : text_body(reply);
  std::string out =
      "HTTP/1.1 " + std::to_string(status) + ' ' + std::string(reason_phrase(status)) + "\r\n";
  const auto field = [&out](std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
  };
  field("Date", reply.date);
  field("Proxy-Status", proxy_status(reply));
  field("Content-Type", reply.json ? "application/problem+json" : "text/plain; charset=utf-8");
  field("Content-Length", std::to_string(body.size()));
  if (!reply.server_timing.empty()) field("Server-Timing", reply.server_timing);
  field("Cache-Control", "no-store");
  if (status == 503) field("Retry-After", kRetryAfterSeconds);
  if (!reply.keep_alive) field("Connection", "close");
  out += "\r\n";
  if (!reply.head_only) out += body;
  return out;
}

}  // namespace penstock
