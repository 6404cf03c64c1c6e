// Finds the end of a head or a trailer section as its bytes come, looking at each byte once.
//
// On the way it refuses what no later reader shall see: bare CR and LF, controls, folded lines
// where they are not allowed, sections past their bounds. What it calls complete is therefore a
// series of lines, each ended by CRLF, the last one empty. Every refusal is tied to a position, so
// the answer does not depend on how the bytes were cut into pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "http/chars.h"
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

  std::size_t scanned() const { return offset_; }  // once complete: the section's bytes
  // Where each line ends, without its CRLF; a folded one ends with its last part.
  std::span<const std::uint32_t> line_ends() const { return {line_ends_.data(), line_count_}; }
  bool folded() const { return folded_; }
  Violation violation() const { return violation_; }

 private:
  // A line that begins with this character ends here; false when the section is refused for it.
  bool take_line(char first, std::size_t line_end) {
    if (chars::is_blank(first)) return take_fold(line_end);
    if (line_count_ == line_room_ && !make_room_for_line()) return false;
    line_ends_[line_count_++] = static_cast<std::uint32_t>(line_end);
    return true;
  }
  bool make_room_for_line();
  bool take_fold(std::size_t line_end);
  Progress refuse(Violation violation);
  Violation too_large() const;

  Rules rules_;
  std::size_t offset_ = 0;
  std::size_t line_start_ = 0;
  std::size_t most_lines_ = 0;
  std::vector<std::uint32_t> line_ends_;  // grows, and stays, with the most lines that came
  std::size_t line_room_ = 0;             // how many of them may be used before the next look
  std::size_t line_count_ = 0;
  bool folded_ = false;
  Violation violation_ = Violation::kNone;
};

}  // namespace penstock
