#include "http/section_scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "http/chars.h"

namespace penstock {

namespace {

// Most heads have fewer.
constexpr std::size_t kUsualLines = 32;

static_assert(std::endian::native == std::endian::little,
              "find_control() counts from the low byte");

// Bit 7 of every byte that is below 0x20 or 0x7f. Bit 7 is taken off before the sums, so that no
// byte carries into the next.
std::uint64_t control_mask(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x80 * kOnes;
  const std::uint64_t low_bits = word & ~kHighs;
  const std::uint64_t not_below_space = low_bits + (0x80 - 0x20) * kOnes;
  const std::uint64_t is_delete = low_bits + kOnes;
  return (~not_below_space | is_delete) & ~word & kHighs;
}

// Eight bytes at a time: the first control character, DEL and HT included, or a place with less
// than eight bytes before the end.
const char* skip_text_by_words(const char* at, const char* end) {
  for (; end - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    const std::uint64_t mask = control_mask(word);
    if (mask != 0) return at + std::countr_zero(mask) / 8;
  }
  return at;
}

// The same by sixteen where the processor can; every x86-64 can.
const char* skip_text(const char* at, const char* end) {
#ifdef __SSE2__
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const int mask = _mm_movemask_epi8(_mm_or_si128(controls, _mm_cmpeq_epi8(bytes, del)));
    if (mask != 0) return at + std::countr_zero(static_cast<unsigned>(mask));
  }
#endif
  return skip_text_by_words(at, end);
}

// The first control character, DEL included and HT excepted, or the end.
const char* find_control(const char* at, const char* end) {
  while (end - (at = skip_text(at, end)) >= 8) {
    if (*at != '\t') return at;
    ++at;
  }
  return std::find_if_not(at, end, chars::is_text);
}

}  // namespace

void SectionScanner::start(const Rules& rules) {
  rules_ = rules;
  most_lines_ = rules.max_fields + (rules.kind == Kind::kHead ? 1 : 0);
  line_room_ = std::min(most_lines_, line_ends_.size());
  offset_ = line_start_ = line_count_ = 0;
  folded_ = false;
  violation_ = Violation::kNone;
}

SectionScanner::Progress SectionScanner::scan(std::string_view in) {
  const std::size_t window = std::min(in.size(), rules_.max_bytes);
  const char* const end = in.data() + window;
  const char* at = in.data() + offset_;
  while ((at = find_control(at, end)) != end) {
    if (*at != '\r') return refuse(*at == '\n' ? Violation::kBareLf : Violation::kControl);
    if (at + 1 == end) break;
    if (at[1] != '\n') return refuse(Violation::kBareCr);
    const auto line_end = static_cast<std::size_t>(at - in.data());
    at += 2;
    offset_ = line_end + 2;
    if (line_end == line_start_) return Progress::kComplete;
    if (!take_line(in[line_start_], line_end)) return Progress::kRefused;
    line_start_ = offset_;
  }
  offset_ = static_cast<std::size_t>(at - in.data());
  // Not ended within the bound: at least one more byte would be needed.
  return window == rules_.max_bytes ? refuse(too_large()) : Progress::kIncomplete;
}

bool SectionScanner::make_room_for_line() {
  if (line_count_ == most_lines_) {
    refuse(rules_.kind == Kind::kHead ? Violation::kTooManyFields : Violation::kTooManyTrailers);
    return false;
  }
  if (line_count_ == line_ends_.size()) line_ends_.resize(std::max(kUsualLines, 2 * line_count_));
  line_room_ = std::min(most_lines_, line_ends_.size());
  return true;
}

// A fold needs a field to belong to (RFC 9112 section 2.2 for the line after the start line).
bool SectionScanner::take_fold(std::size_t line_end) {
  const std::size_t fields_begin = rules_.kind == Kind::kHead ? 1 : 0;
  if (!rules_.folds_allowed || line_count_ <= fields_begin) {
    refuse(Violation::kFold);
    return false;
  }
  folded_ = true;
  line_ends_[line_count_ - 1] = static_cast<std::uint32_t>(line_end);
  return true;
}

SectionScanner::Progress SectionScanner::refuse(Violation violation) {
  violation_ = violation;
  return Progress::kRefused;
}

Violation SectionScanner::too_large() const {
  if (rules_.kind == Kind::kTrailers) return Violation::kTrailersTooLarge;
  if (line_count_ == 0) return Violation::kStartLineTooLarge;
  const bool one_field = rules_.max_bytes - line_start_ > rules_.max_bytes / 2;
  return one_field ? Violation::kFieldTooLarge : Violation::kHeadTooLarge;
}

}  // namespace penstock
