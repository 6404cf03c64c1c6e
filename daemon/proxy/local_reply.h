// What the proxy itself answers: the one table from an Error to a status, and the response that
// says what happened, in which phase, which limit ended it and what to change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/error.h"
#include "http/head.h"
#include "telemetry/timeline.h"

namespace penstock {

// The status an Error is answered with (ARCHITECTURE.md, 'When it fails'); 499 for a client that
// left.
std::uint16_t status_of(const Error& error);
std::string_view reason_phrase(std::uint16_t status);

struct LocalReply {
  const Error& error;
  const Timeline& timeline;
  MonotonicTime now;
  std::uint64_t request_id = 0;
  std::string limit_value;  // "5s", when a limit fired
  Duration spent{};         // against that limit
  bool json = false;        // problem+json (RFC 9457) instead of text
  bool head_only = false;   // a response to HEAD
  bool keep_alive = false;
  std::string_view date;
  std::string_view server_timing{};
};

// The phases so far as a value of Server-Timing, in ms, and their total.
std::string format_server_timing(const Timeline& timeline, MonotonicTime now);

// Whether an Accept field asks for JSON rather than text.
bool prefers_json(const RequestHead& head);

// The whole response, as bytes for the client.
std::string format_local_reply(const LocalReply& reply);

}  // namespace penstock
