#include "base/error.h"

namespace penstock {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::kQueue:
      return "queue";
    case Phase::kResolve:
      return "resolve";
    case Phase::kConnect:
      return "connect";
    case Phase::kTlsHandshake:
      return "tls_handshake";
    case Phase::kSend:
      return "send";
    case Phase::kAwaitContinue:
      return "await_continue";
    case Phase::kAwaitHead:
      return "await_head";
    case Phase::kReceive:
      return "receive";
  }
  return "";
}

std::string_view token(ErrorCode code) {
  switch (code) {
    case ErrorCode::kDnsTimeout:
      return "dns_timeout";
    case ErrorCode::kDnsError:
      return "dns_error";
    case ErrorCode::kDestinationIpProhibited:
      return "destination_ip_prohibited";
    case ErrorCode::kDestinationIpUnroutable:
      return "destination_ip_unroutable";
    case ErrorCode::kDestinationUnavailable:
      return "destination_unavailable";
    case ErrorCode::kConnectionRefused:
      return "connection_refused";
    case ErrorCode::kConnectionTerminated:
      return "connection_terminated";
    case ErrorCode::kConnectionTimeout:
      return "connection_timeout";
    case ErrorCode::kConnectionReadTimeout:
      return "connection_read_timeout";
    case ErrorCode::kConnectionWriteTimeout:
      return "connection_write_timeout";
    case ErrorCode::kConnectionLimitReached:
      return "connection_limit_reached";
    case ErrorCode::kTlsProtocolError:
      return "tls_protocol_error";
    case ErrorCode::kTlsCertificateError:
      return "tls_certificate_error";
    case ErrorCode::kTlsAlertReceived:
      return "tls_alert_received";
    case ErrorCode::kHttpRequestError:
      return "http_request_error";
    case ErrorCode::kHttpRequestDenied:
      return "http_request_denied";
    case ErrorCode::kHttpResponseIncomplete:
      return "http_response_incomplete";
    case ErrorCode::kHttpResponseHeaderSectionSize:
      return "http_response_header_section_size";
    case ErrorCode::kHttpResponseHeaderSize:
      return "http_response_header_size";
    case ErrorCode::kHttpResponseTrailerSectionSize:
      return "http_response_trailer_section_size";
    case ErrorCode::kHttpResponseTransferCoding:
      return "http_response_transfer_coding";
    case ErrorCode::kHttpResponseTimeout:
      return "http_response_timeout";
    case ErrorCode::kHttpUpgradeFailed:
      return "http_upgrade_failed";
    case ErrorCode::kHttpProtocolError:
      return "http_protocol_error";
    case ErrorCode::kProxyInternalResponse:
      return "proxy_internal_response";
    case ErrorCode::kProxyInternalError:
      return "proxy_internal_error";
    case ErrorCode::kProxyLoopDetected:
      return "proxy_loop_detected";
    case ErrorCode::kClientAborted:
      return "client_aborted";
    case ErrorCode::kClientWriteTimeout:
      return "client_write_timeout";
  }
  return "";
}

}  // namespace penstock
