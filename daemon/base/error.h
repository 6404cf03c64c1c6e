// What can go wrong, as values.
//
// An Error names the RFC 9209 token, who is at fault, the phase it happened in and, for time
// limits, the configuration key that fired. The response to the client, the access log line and
// the metric labels are all derived from it (proxy/local_reply.cc holds the one table).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace penstock {

// The phases of an exchange: one vocabulary for log, metrics, errors and timeouts.
enum class Phase : std::uint8_t {
  kQueue,
  kResolve,
  kConnect,
  kTlsHandshake,
  kSend,
  kAwaitContinue,
  kAwaitHead,
  kReceive,
};
inline constexpr int kPhaseCount = 8;
std::string_view to_string(Phase phase);

// RFC 9209 section 2.3, and the two of ours that only the log sees.
enum class ErrorCode : std::uint8_t {
  kDnsTimeout,
  kDnsError,
  kDestinationIpProhibited,
  kDestinationIpUnroutable,
  kDestinationUnavailable,
  kConnectionRefused,
  kConnectionTerminated,
  kConnectionTimeout,
  kConnectionReadTimeout,
  kConnectionWriteTimeout,
  kConnectionLimitReached,
  kTlsProtocolError,
  kTlsCertificateError,
  kTlsAlertReceived,
  kHttpRequestError,
  kHttpRequestDenied,
  kHttpResponseIncomplete,
  kHttpResponseHeaderSectionSize,
  kHttpResponseHeaderSize,
  kHttpResponseTrailerSectionSize,
  kHttpResponseTransferCoding,
  kHttpResponseTimeout,
  kHttpUpgradeFailed,
  kHttpProtocolError,
  kProxyInternalResponse,
  kProxyInternalError,
  kProxyLoopDetected,
  kClientAborted,
  kClientWriteTimeout,
};
inline constexpr int kErrorCodeCount = 29;
std::string_view token(ErrorCode code);  // "connection_refused"

enum class ErrorSource : std::uint8_t { kDownstream, kUpstream, kInternal };

struct Error {
  ErrorCode code;
  ErrorSource source = ErrorSource::kUpstream;
  std::optional<Phase> phase{};
  // The key of the limit that fired ("timeouts.connect"), a string literal; empty for other faults.
  std::string_view limit_key{};
  // HTTP status when the code's usual one does not fit (431 for http_request_error); 0 otherwise.
  std::uint16_t status = 0;
  // errno, when a system call failed.
  int sys = 0;
  // One sentence for people: what happened. Allocated only when something failed.
  std::string detail{};
};

}  // namespace penstock
