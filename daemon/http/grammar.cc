#include "http/grammar.h"

#include <llhttp.h>

#include <bit>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "http/chars.h"

namespace penstock {

namespace {

const llhttp_settings_t kNoEvents{};

Violation violation_of(llhttp_errno_t error) {
  // INVALID_CONSTANT: a method of RTSP.
  if (error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT) {
    return Violation::kMethodUnknown;
  }
  return error == HPE_INVALID_URL ? Violation::kTarget : Violation::kMalformedHead;
}

// Of the token that begins at `at`, before the empty line that ends the section. Names are mostly
// letters and hyphens, up to sixteen at a time; from the first other byte on the table knows.
const char* end_of_token(const char* at, [[maybe_unused]] const char* section_end) {
#ifdef __SSE2__
  if (section_end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i letters =
        _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    const __m128i are_letters =
        _mm_cmpeq_epi8(_mm_min_epu8(letters, _mm_set1_epi8('z' - 'a')), letters);
    const __m128i plain = _mm_or_si128(are_letters, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    at += std::countr_one(static_cast<unsigned>(_mm_movemask_epi8(plain)));
  }
#endif
  while (chars::is_token(*at)) ++at;
  return at;
}

// One space, then a value with no white space around it.
bool is_as_written(const char* colon, const char* line_end) {
  return line_end - colon > 2 && colon[1] == ' ' && !chars::is_blank(colon[2]) &&
         !chars::is_blank(line_end[-1]);
}

}  // namespace

Violation check_request_line(std::string_view line) {
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &kNoEvents);
  const llhttp_errno_t error = llhttp_execute(&parser, line.data(), line.size());
  if (error != HPE_OK) return violation_of(error);
  // Reserved for the preface of HTTP/2, RFC 9113 section 3.4.
  return parser.method == HTTP_PRI ? Violation::kMethodUnknown : Violation::kNone;
}

Violation split_fields(std::string_view section, std::size_t begin,
                       std::span<const std::uint32_t> line_ends, FieldList& fields) {
  const char* at = section.data() + begin;
  for (const std::uint32_t line_end : line_ends) {
    const char* const end = section.data() + line_end;
    const char* const colon = end_of_token(at, section.data() + section.size());
    if (*colon != ':' || colon == at) return Violation::kFieldName;
    const std::string_view name(at, colon);
    if (is_as_written(colon, end)) {
      fields.add({name, {colon + 2, end}, identify_field(name), true});
    } else {
      fields.add(name, {colon + 1, end});
    }
    at = end + 2;
  }
  return Violation::kNone;
}

}  // namespace penstock
