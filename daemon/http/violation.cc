#include "http/violation.h"

#include <iterator>

namespace penstock {

namespace {

struct Row {
  Violation violation;
  std::uint16_t request_status;  // 0: does not happen in a request
  ErrorCode response_code;
  std::string_view reason;
};

constexpr ErrorCode kProtocol = ErrorCode::kHttpProtocolError;
constexpr ErrorCode kTransferCoding = ErrorCode::kHttpResponseTransferCoding;
constexpr ErrorCode kHeadSize = ErrorCode::kHttpResponseHeaderSectionSize;
constexpr ErrorCode kTrailerSize = ErrorCode::kHttpResponseTrailerSectionSize;

// In the order of the enumeration. RFC 9112 unless another is named.
constexpr Row kRows[] = {
    {Violation::kNone, 0, kProtocol, ""},
    // Section 2.2; fields: RFC 9110 section 5.5; folding: section 5.2.
    {Violation::kBareCr, 400, kProtocol, "a CR without LF in the head or trailers"},
    {Violation::kBareLf, 400, kProtocol, "a LF without CR in the head or trailers"},
    {Violation::kControl, 400, kProtocol, "a control character in the head or trailers"},
    {Violation::kFold, 400, kProtocol, "a line of the head or trailers begins with white space"},
    {Violation::kEmptyLines, 400, kProtocol, "more than one empty line before the request line"},
    {Violation::kTlsSpoken, 400, kProtocol,
     "TLS is spoken to a plaintext proxy port: use http:// in the proxy's address"},
    {Violation::kSocksSpoken, 400, kProtocol,
     "SOCKS is spoken to an HTTP proxy port: use http:// in the proxy's address"},
    {Violation::kNotHttp, 400, kProtocol, "the answer does not begin with HTTP/1."},
    // RFC 6585 section 5.
    {Violation::kStartLineTooLarge, 431, kHeadSize,
     "the start line alone is over the head's bound"},
    {Violation::kHeadTooLarge, 431, kHeadSize, "the head is over its bound"},
    {Violation::kFieldTooLarge, 431, ErrorCode::kHttpResponseHeaderSize,
     "the head is over its bound, of which one field takes more than half"},
    // RFC 9110 section 15.2: any number of them may come.
    {Violation::kInterimTooLarge, 431, kProtocol,
     "interim responses (1xx) without end: they and the head are over the head's bound"},
    {Violation::kTooManyFields, 431, kHeadSize, "too many fields in the head"},
    {Violation::kTooManyOptions, 431, kHeadSize, "too many options in Connection"},
    {Violation::kTrailersTooLarge, 431, kTrailerSize, "the trailers are over their bound"},
    {Violation::kTooManyTrailers, 431, kTrailerSize, "too many fields in the trailers"},
    // Sections 3 and 4; RFC 9110 section 9.1 for the method, section 2.5 for the version.
    {Violation::kRequestLine, 400, kProtocol, "the request line is malformed"},
    {Violation::kMethodUnknown, 501, kProtocol, "the method is not known"},
    {Violation::kTarget, 400, kProtocol, "the target is malformed or holds a forbidden character"},
    {Violation::kVersionUnsupported, 505, kProtocol,
     "the version is neither HTTP/1.1 nor HTTP/1.0"},
    {Violation::kStatusLine, 400, kProtocol, "the status line is malformed"},
    // Section 5.1; RFC 9110 sections 5.1, 5.5 and 7.2.
    {Violation::kFieldName, 400, kProtocol,
     "a field name is empty, is no token or has white space before its colon"},
    {Violation::kMalformedHead, 400, kProtocol, "the head is malformed"},
    {Violation::kHostMissing, 400, kProtocol, "no Host field"},
    {Violation::kHostRepeated, 400, kProtocol, "more than one Host field"},
    {Violation::kHostInvalid, 400, kProtocol, "the Host field is not host or host:port"},
    // Sections 6.1 to 6.3.
    {Violation::kContentLength, 400, kProtocol,
     "Content-Length is not one decimal number below 2^63"},
    {Violation::kContentLengthRepeated, 400, kProtocol, "more than one Content-Length field"},
    {Violation::kLengthAndCoding, 400, kProtocol, "Content-Length together with Transfer-Encoding"},
    {Violation::kCoding, 501, kTransferCoding, "a Transfer-Encoding other than exactly chunked"},
    {Violation::kCodingIn10, 400, kTransferCoding, "Transfer-Encoding in an HTTP/1.0 message"},
    // Section 7.1.
    {Violation::kChunkSize, 400, kTransferCoding, "a chunk size is no plain hexadecimal number"},
    {Violation::kChunkSizeTooLarge, 400, kTransferCoding, "a chunk size is too large"},
    {Violation::kChunkLine, 400, kTransferCoding, "a chunk line does not end in CRLF"},
    {Violation::kChunkExtension, 400, kTransferCoding, "a chunk extension is malformed"},
    {Violation::kChunkExtensionsTooLarge, 400, kProtocol,
     "the chunk extensions are over their bound"},
    {Violation::kChunkEnd, 400, kTransferCoding, "a chunk is not followed by CRLF"},
    {Violation::kTrailer, 400, kProtocol, "a trailer field is malformed"},
    // Section 8.
    {Violation::kClosedBeforeHead, 0, ErrorCode::kConnectionTerminated,
     "the connection was closed before a response head"},
    {Violation::kClosedInside, 0, ErrorCode::kHttpResponseIncomplete,
     "the connection was closed inside the response"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<std::size_t>(kRows[i].violation) != i) return false;
  }
  return std::size(kRows) == static_cast<std::size_t>(Violation::kClosedInside) + 1;
}
static_assert(in_order());

FaultKind kind_of(Violation violation) {
  if (violation == Violation::kStartLineTooLarge || violation == Violation::kHeadTooLarge ||
      violation == Violation::kFieldTooLarge || violation == Violation::kInterimTooLarge) {
    return FaultKind::kHeadTooLarge;
  }
  if (violation == Violation::kTooManyFields || violation == Violation::kTooManyOptions) {
    return FaultKind::kTooManyFields;
  }
  if (violation == Violation::kTlsSpoken || violation == Violation::kSocksSpoken) {
    return FaultKind::kForeignProtocol;
  }
  return FaultKind::kMalformed;
}

}  // namespace

ParseFault fault_of(Violation violation, Side side) {
  const Row& row = kRows[static_cast<std::size_t>(violation)];
  const FaultKind kind = kind_of(violation);
  if (side == Side::kResponse) return {row.response_code, 502, row.reason, kind};
  return {ErrorCode::kHttpRequestError, row.request_status, row.reason, kind};
}

}  // namespace penstock
