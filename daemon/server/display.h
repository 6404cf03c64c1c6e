// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"

namespace penstock {

std::string decimal_text(double value, int decimals);

// Three digits that count, and a unit: "42 µs", "0.42 ms", "12.3 ms", "1.50 s", "12 min 5 s",
// "3 d 4 h".
std::string duration_text(Duration value);

// "0.25/s", "12.5/s", "1234/s"
std::string rate_text(std::uint64_t count, Duration span);

std::string clock_text(WallTime time);  // "12:34:56", UTC
std::string date_text(WallTime time);   // "2026-11-22 12:34:56", UTC

}  // namespace penstock
