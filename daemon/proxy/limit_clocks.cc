#include "proxy/limit_clocks.h"

namespace penstock {

Error limit_error(LimitKind kind, Phase phase) {
  switch (kind) {
    case LimitKind::kHeader:
      return {.code = ErrorCode::kHttpRequestError,
              .source = ErrorSource::kDownstream,
              .limit_key = "client.header_timeout",
              .status = 408,
              .detail = "the head of the request did not arrive in time"};
    case LimitKind::kClientBodyStall:
      return {.code = ErrorCode::kHttpRequestError,
              .source = ErrorSource::kDownstream,
              .phase = Phase::kSend,
              .limit_key = "client.body_stall",
              .status = 408,
              .detail = "the client stopped sending the body of its request"};
    case LimitKind::kClientWriteStall:
      return {.code = ErrorCode::kClientWriteTimeout,
              .source = ErrorSource::kDownstream,
              .phase = Phase::kReceive,
              .limit_key = "client.write_stall",
              .detail = "the client stopped taking its response"};
    case LimitKind::kQueue:
      return {.code = ErrorCode::kConnectionLimitReached,
              .phase = Phase::kQueue,
              .limit_key = "timeouts.queue",
              .detail = "no connection to the upstream came free in time"};
    case LimitKind::kWriteStall:
      return {.code = ErrorCode::kConnectionWriteTimeout,
              .phase = Phase::kSend,
              .limit_key = "timeouts.write_stall",
              .detail = "the upstream stopped taking the request"};
    case LimitKind::kResponseHeader:
      return {.code = ErrorCode::kHttpResponseTimeout,
              .phase = Phase::kAwaitHead,
              .limit_key = "timeouts.response_header",
              .detail = "the upstream sent no response head in time"};
    case LimitKind::kBodyStall:
      return {.code = ErrorCode::kConnectionReadTimeout,
              .phase = Phase::kReceive,
              .limit_key = "timeouts.body_stall",
              .detail = "the upstream stopped sending the body of its response"};
    case LimitKind::kMinRate:
      return {.code = ErrorCode::kConnectionReadTimeout,
              .phase = Phase::kReceive,
              .limit_key = "timeouts.min_rate",
              .detail = "the upstream sent the body of its response too slowly"};
    case LimitKind::kExchange:
      return {.code = ErrorCode::kHttpResponseTimeout,
              .phase = phase,
              .limit_key = "timeouts.exchange",
              .detail = "request and response took longer than they may, connecting apart"};
    case LimitKind::kAppDeadline:
      return {.code = ErrorCode::kHttpResponseTimeout,
              .source = ErrorSource::kDownstream,
              .phase = phase,
              .limit_key = "client.deadline_header",
              .detail = "the time that the app gave its request is over"};
    case LimitKind::kGrpcTimeout:
      return {.code = ErrorCode::kHttpResponseTimeout,
              .source = ErrorSource::kDownstream,
              .phase = phase,
              .limit_key = "grpc-timeout",
              .detail = "the time that the app gave its call is over"};
    case LimitKind::kTotal:
      return {.code = ErrorCode::kHttpResponseTimeout,
              .phase = phase,
              .limit_key = "timeouts.total",
              .detail = "the request took longer than it may in all"};
    case LimitKind::kExpectContinue:
      break;  // the exchange goes on
  }
  return {.code = ErrorCode::kProxyInternalError, .source = ErrorSource::kInternal};
}

}  // namespace penstock
