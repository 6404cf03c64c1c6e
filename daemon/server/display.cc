#include "server/display.h"

#include <array>
#include <chrono>
#include <cstdio>

#include "server/json_writer.h"

namespace penstock {

namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

std::string three_digits(double value) {
  return decimal_text(value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

template <typename Large, typename Small>
std::string two_units(Duration value, const char* large_unit, const char* small_unit) {
  const auto large = std::chrono::floor<Large>(value);
  const auto small = std::chrono::floor<Small>(value - large);
  return std::to_string(large.count()) + large_unit + std::to_string(small.count()) + small_unit;
}

}  // namespace

std::string decimal_text(double value, int decimals) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string duration_text(Duration value) {
  if (value >= days(1)) return two_units<days, hours>(value, " d ", " h");
  if (value >= hours(1)) return two_units<hours, minutes>(value, " h ", " min");
  if (value >= minutes(1)) return two_units<minutes, seconds>(value, " min ", " s");
  if (value < std::chrono::microseconds(100))
    return std::to_string(std::chrono::round<std::chrono::microseconds>(value).count()) + " µs";
  const double ms = std::chrono::duration<double, std::milli>(value).count();
  return ms < 999.5 ? three_digits(ms) + " ms" : three_digits(ms / 1000) + " s";
}

std::string rate_text(std::uint64_t count, Duration span) {
  const double in_seconds = std::chrono::duration<double>(span).count();
  return three_digits(in_seconds > 0 ? static_cast<double>(count) / in_seconds : 0) + "/s";
}

std::string clock_text(WallTime time) { return rfc3339(time).substr(11, 8); }

std::string date_text(WallTime time) {
  return rfc3339(time).substr(0, 10) + ' ' + clock_text(time);
}

}  // namespace penstock
