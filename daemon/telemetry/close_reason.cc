#include "telemetry/close_reason.h"

namespace penstock {

std::string_view to_string(CloseReason reason) {
  switch (reason) {
    case CloseReason::kIdleTimeout:
      return "idle_timeout";
    case CloseReason::kMaxLifetime:
      return "max_lifetime";
    case CloseReason::kMaxRequests:
      return "max_requests";
    case CloseReason::kServerClose:
      return "server_close";
    case CloseReason::kPeerClosedIdle:
      return "peer_closed_idle";
    case CloseReason::kUnexpectedData:
      return "unexpected_data";
    case CloseReason::kError:
      return "error";
    case CloseReason::kTimeout:
      return "timeout";
    case CloseReason::kClientAbort:
      return "client_abort";
    case CloseReason::kTrimmed:
      return "trimmed";
    case CloseReason::kEvicted:
      return "evicted";
    case CloseReason::kRetiredReload:
      return "retired_reload";
    case CloseReason::kRetiredDns:
      return "retired_dns";
    case CloseReason::kAdmin:
      return "admin";
    case CloseReason::kShutdown:
      return "shutdown";
  }
  return "";
}

}  // namespace penstock
