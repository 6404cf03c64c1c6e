// Finds the end of a head or a trailer section as its bytes come, looking at each byte once.
//
// On the way it refuses what no later reader shall see: bare CR and LF, controls, folded lines
// where they are not allowed, sections past their bounds. What it calls complete is therefore a
// series of lines, each ended by CRLF, the last one empty. Every refusal is tied to a position, so
// the answer does not depend on how the bytes were cut into pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/violation.h"

namespace penstock {

class SectionScanner {
 public:
  enum class Kind : std::uint8_t { kHead, kTrailers };
  struct Rules {
    Kind kind = Kind::kHead;
    std::size_t max_bytes = 0;
    std::size_t max_fields = 0;
    bool folds_allowed = false;
  };
  enum class Progress : std::uint8_t { kIncomplete, kComplete, kRefused };

  void start(const Rules& rules);
  // `in` starts at the first byte of the section, every time.
  Progress scan(std::string_view in);

  std::size_t scanned() const { return offset_; }         // once complete: the section's bytes
  std::size_t first_line() const { return first_line_; }  // without its CRLF
  bool folded() const { return folded_; }
  Violation violation() const { return violation_; }

 private:
  // The line [line_start_, line_end) is whole; false when the section is refused for it.
  bool take_line(std::string_view in, std::size_t line_end);
  Progress refuse(Violation violation);
  Violation too_large() const;

  Rules rules_;
  std::size_t offset_ = 0;
  std::size_t line_start_ = 0;
  std::size_t first_line_ = 0;
  std::size_t lines_ = 0;  // whole ones
  std::size_t fields_ = 0;
  bool folded_ = false;
  Violation violation_ = Violation::kNone;
};

}  // namespace penstock
