#include "http/section_scanner.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "http/chars.h"

namespace penstock {

namespace {

static_assert(std::endian::native == std::endian::little, "find_control counts from the low byte");

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

// The first control character, DEL included and HT excepted, or the end.
const char* find_control(const char* at, const char* end) {
  while (end - at >= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof(word));
    const std::uint64_t mask = control_mask(word);
    if (mask == 0) {
      at += 8;
      continue;
    }
    at += std::countr_zero(mask) / 8;
    if (*at != '\t') return at;
    ++at;
  }
  return std::find_if_not(at, end, chars::is_text);
}

}  // namespace

void SectionScanner::start(const Rules& rules) {
  *this = SectionScanner();
  rules_ = rules;
}

SectionScanner::Progress SectionScanner::scan(std::string_view in) {
  const char* const begin = in.data();
  const std::size_t window = std::min(in.size(), rules_.max_bytes);
  while (true) {
    const char* at = find_control(begin + offset_, begin + window);
    offset_ = static_cast<std::size_t>(at - begin);
    if (offset_ == window) break;
    if (*at != '\r') return refuse(*at == '\n' ? Violation::kBareLf : Violation::kControl);
    if (offset_ + 1 == window) break;
    if (at[1] != '\n') return refuse(Violation::kBareCr);
    const std::size_t line_end = offset_;
    offset_ += 2;
    if (line_end == line_start_) return Progress::kComplete;
    if (!take_line(in, line_end)) return Progress::kRefused;
    line_start_ = offset_;
  }
  // Not ended within the bound: at least one more byte would be needed.
  return window == rules_.max_bytes ? refuse(too_large()) : Progress::kIncomplete;
}

bool SectionScanner::take_line(std::string_view in, std::size_t line_end) {
  const bool start_line = rules_.kind == Kind::kHead && lines_ == 0;
  ++lines_;
  if (start_line) first_line_ = line_end;
  if (chars::is_blank(in[line_start_])) {
    // A fold needs a field to belong to (RFC 9112 section 2.2 for the line after the start line).
    if (!rules_.folds_allowed || fields_ == 0) {
      refuse(Violation::kFold);
      return false;
    }
    folded_ = true;
  } else if (!start_line && ++fields_ > rules_.max_fields) {
    refuse(rules_.kind == Kind::kHead ? Violation::kTooManyFields : Violation::kTooManyTrailers);
    return false;
  }
  return true;
}

SectionScanner::Progress SectionScanner::refuse(Violation violation) {
  violation_ = violation;
  return Progress::kRefused;
}

Violation SectionScanner::too_large() const {
  if (rules_.kind == Kind::kTrailers) return Violation::kTrailersTooLarge;
  return lines_ == 0 ? Violation::kStartLineTooLarge : Violation::kHeadTooLarge;
}

}  // namespace penstock
