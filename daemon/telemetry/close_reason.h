// Why an upstream connection was closed: the same words in the access log, the metrics and /pools.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock {

enum class CloseReason : std::uint8_t {
  kIdleTimeout,
  kMaxLifetime,
  kMaxRequests,
  kServerClose,
  kPeerClosedIdle,
  kUnexpectedData,
  kError,
  kTimeout,
  kClientAbort,
  kTrimmed,
  kEvicted,
  kRetiredReload,
  kRetiredDns,
  kAdmin,
  kShutdown,
};
inline constexpr int kCloseReasonCount = 15;
std::string_view to_string(CloseReason reason);  // "idle_timeout"

}  // namespace penstock
