// Everything that makes a message one we do not take, and what is said about it.
//
// Internal to http/: the parsers' parts name a Violation, fault_of() makes of it the answer for the
// side it was met on.
#pragma once

#include <cstdint>

#include "http/parser.h"

namespace penstock {

enum class Violation : std::uint8_t {
  kNone,
  // line ends and bytes
  kBareCr,
  kBareLf,
  kControl,
  kFold,
  kEmptyLines,
  kTlsSpoken,
  kSocksSpoken,
  kNotHttp,
  // bounds
  kStartLineTooLarge,
  kHeadTooLarge,
  kFieldTooLarge,
  kInterimTooLarge,
  kTooManyFields,
  kTooManyOptions,
  kTrailersTooLarge,
  kTooManyTrailers,
  // start line
  kRequestLine,
  kMethodUnknown,
  kTarget,
  kVersionUnsupported,
  kStatusLine,
  // fields
  kFieldName,
  kMalformedHead,
  kHostMissing,
  kHostRepeated,
  kHostInvalid,
  // framing
  kContentLength,
  kContentLengthRepeated,
  kLengthAndCoding,
  kCoding,
  kCodingIn10,
  // chunks and trailers
  kChunkSize,
  kChunkSizeTooLarge,
  kChunkLine,
  kChunkExtension,
  kChunkExtensionsTooLarge,
  kChunkEnd,
  kTrailer,
  // the stream's end
  kClosedBeforeHead,
  kClosedInside,
};

enum class Side : std::uint8_t { kRequest, kResponse };

ParseFault fault_of(Violation violation, Side side);

}  // namespace penstock
