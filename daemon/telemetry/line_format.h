// One access log line from one record, written into memory that the caller has made sure of.
//
// Nothing here allocates or can fail: texts are clipped to fixed lengths, so a line has a bound.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "telemetry/exchange_record.h"

namespace penstock {

// Longer paths are clipped and end in an ellipsis, other texts are clipped.
inline constexpr std::size_t kMaxLoggedPathBytes = 4096;
inline constexpr std::size_t kMaxLoggedTextBytes = 256;
// No line is longer than this, its newline included.
inline constexpr std::size_t kMaxLineBytes = 40 * 1024;

struct LineStyle {
  bool json = true;
  bool query = false;
};

// At least as many bytes as any style's line for this record needs; never above kMaxLineBytes.
std::size_t line_bound(const ExchangeRecord& record);

// Owner: an AccessLogWriter. Thread: its worker's. Keeps the text of the current second, since most
// lines share it with the one before.
class LineFormatter {
 public:
  // Writes one line with its newline to `out`, which has line_bound(record) bytes of room; returns
  // its end.
  char* write(char* out, const ExchangeRecord& record, const LineStyle& style);

 private:
  char* write_time(char* out, WallTime time);
  void write_second(std::chrono::sys_seconds second);

  std::int64_t second_ = INT64_MIN;
  std::array<char, 20> second_text_{};  // "2026-01-31T12:34:56."
};

}  // namespace penstock
