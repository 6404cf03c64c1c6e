// The texts of the file and the values they stand for: durations, sizes, counts, switches.
//
// A parser takes the raw text (YAML's own reading of `off`, `010` or `1_000` never matters) and
// returns the value or what is wrong with the text, in words that say what to write instead.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/settings.h"

namespace penstock {

template <typename T>
using Parsed = Result<T, std::string>;

inline constexpr Duration kShortestDuration = std::chrono::milliseconds(1);
inline constexpr Duration kLongestDuration = std::chrono::hours(24);
inline constexpr std::uint64_t kLargestCount = 1'000'000;
inline constexpr std::uint64_t kLargestUserId = 0xffff'fffe;  // the next one stands for none
inline constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 30;

// off, false, no: the spellings that YAML tools make of one another.
bool is_off(std::string_view text);
// off and every other word that people write for it: none, never, unlimited, ...
bool means_no_limit(std::string_view text);

Parsed<Duration> parse_duration(std::string_view text);  // "250ms", "1.5s", "1m30s", "1h"
Parsed<Limit> parse_limit(std::string_view text);        // a duration or off
Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t min, std::uint64_t max);
Parsed<std::uint32_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max);
Parsed<bool> parse_switch(std::string_view text);
Parsed<double> parse_share(std::string_view text);  // "0.2" or "20%"

// The shortest text that parses to the same value.
std::string format_duration(Duration value);
std::string format_limit(const Limit& value);
std::string format_size(std::uint64_t bytes);
std::string format_share(double value);

// Appends the text with its control characters escaped, so that a line stays one.
void append_without_controls(std::string_view text, std::string& out);
// Without what somebody wrote where it does not belong: the user and password of a URL, a key in
// PEM.
std::string without_secrets(std::string_view text);
// The text in double quotes, as a message shows it: no secrets, controls escaped, long ones cut.
inline constexpr std::size_t kLongestQuote = 80;
std::string in_quotes(std::string_view text, std::size_t longest = kLongestQuote);
// "a, b or c"
std::string alternatives(std::span<const std::string_view> words);

}  // namespace penstock
