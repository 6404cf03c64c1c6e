#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace penstock {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t scale;
};
constexpr std::array kTimeUnits = {Unit{"h", 3'600'000'000'000}, Unit{"m", 60'000'000'000},
                                   Unit{"s", 1'000'000'000}, Unit{"ms", 1'000'000}};
constexpr std::array kSizeUnits = {Unit{"GiB", std::uint64_t{1} << 30},
                                   Unit{"MiB", std::uint64_t{1} << 20}, Unit{"KiB", 1024},
                                   Unit{"B", 1}};

bool is_utf8_tail(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return (is_letter(x) ? x | 0x20 : x) == (is_letter(y) ? y | 0x20 : y);
  });
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return equal_ignoring_case(text, word); });
}

Unexpected<std::string> wrong(std::string text) { return Unexpected<std::string>{std::move(text)}; }

// More than any duration or size may be; four of them still fit into 64 bits.
constexpr std::uint64_t kHuge = std::uint64_t{1} << 60;

// A decimal number, "12" or "12.5", kept exact: whole.fraction / 10^digits.
struct Decimal {
  std::uint64_t whole = 0;
  std::uint64_t fraction = 0;
  std::uint64_t fraction_scale = 1;

  // Times `scale`, rounded down and never above kHuge: the fraction has at most 6 digits and a
  // scale is below 2^42, so nothing overflows.
  std::uint64_t times(std::uint64_t scale) const {
    if (whole >= kHuge / scale) return kHuge;
    return whole * scale + fraction * scale / fraction_scale;
  }
};

constexpr std::size_t kMaxWholeDigits = 12;
constexpr std::size_t kMaxFractionDigits = 6;
constexpr std::uint64_t kNanosInMicro = 1000;

std::string_view take_digits(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  const auto digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(digits.size());
  return digits;
}

std::uint64_t to_number(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::optional<Decimal> take_decimal(std::string_view& text) {
  const std::string_view whole = take_digits(text);
  if (whole.empty()) return std::nullopt;
  Decimal value{.whole = whole.size() > kMaxWholeDigits ? kHuge : to_number(whole)};
  if (text.empty() || text.front() != '.') return value;
  text.remove_prefix(1);
  std::string_view fraction = take_digits(text);
  if (fraction.empty()) return std::nullopt;
  fraction = fraction.substr(0, kMaxFractionDigits);
  value.fraction = to_number(fraction);
  for (std::size_t i = 0; i < fraction.size(); ++i) value.fraction_scale *= 10;
  return value;
}

std::string_view take_letters(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_letter);
  const auto letters = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(letters.size());
  return letters;
}

std::string not_a_duration(std::string_view text) {
  return in_quotes(text) + " is not a duration; write it like 250ms, 1.5s, 1m30s or 1h";
}

std::string not_a_size(std::string_view text) {
  return in_quotes(text) + " is not a size; write it like 512B, 16KiB or 4MiB";
}

std::string bare_number(std::string_view text, std::string_view unit) {
  const std::size_t zeros = std::min(text.find_first_not_of('0'), text.size() - 1);
  return in_quotes(text) + " has no unit; write " + std::string(text.substr(zeros)) +
         std::string(unit);
}

bool is_plain_number(std::string_view text) {
  return take_decimal(text).has_value() && text.empty();
}

bool is_zero(std::string_view text) {
  return text.find_first_of("0") != std::string_view::npos &&
         text.find_first_of("123456789") == std::string_view::npos;
}

// The sum of the parts ("1m" "30s"), each unit smaller than the one before; nullopt: malformed.
std::optional<std::uint64_t> sum_of_parts(std::string_view text) {
  std::uint64_t sum = 0;
  std::size_t next_unit = 0;
  while (!text.empty()) {
    const auto number = take_decimal(text);
    const std::string_view name = take_letters(text);
    const auto unit =
        std::ranges::find(kTimeUnits.begin() + next_unit, kTimeUnits.end(), name, &Unit::name);
    if (!number || unit == kTimeUnits.end()) return std::nullopt;
    // A fraction followed by smaller units ("1.5h10m") is more likely a slip than a wish.
    if (number->fraction_scale > 1 && !text.empty()) return std::nullopt;
    sum += number->times(unit->scale);
    next_unit = static_cast<std::size_t>(unit - kTimeUnits.begin()) + 1;
  }
  return sum;
}

// value / scale, scale being a power of ten.
std::string decimal_text(std::uint64_t value, std::uint64_t scale) {
  std::string text = std::to_string(value / scale);
  if (value % scale == 0) return text;
  std::string digits = std::to_string(scale + value % scale).substr(1);
  digits.erase(digits.find_last_not_of('0') + 1);
  return text + '.' + digits;
}

std::string count_out_of_shape(std::string_view text) {
  if (text.size() > 1 && text.front() == '0' && std::ranges::all_of(text, is_digit)) {
    return in_quotes(text) + " starts with 0, which some YAML readers take for octal";
  }
  if (text.find('_') != std::string_view::npos || text.find(',') != std::string_view::npos) {
    std::string digits(text);
    std::erase_if(digits, [](char c) { return c == '_' || c == ','; });
    if (std::ranges::all_of(digits, is_digit)) {
      return in_quotes(text) + " has separators; write " + digits;
    }
  }
  return in_quotes(text) + " is not a whole number";
}

}  // namespace

bool is_off(std::string_view text) { return is_one_of(text, {"off", "false", "no"}); }

bool means_no_limit(std::string_view text) {
  return is_off(text) ||
         is_one_of(text, {"unlimited", "none", "never", "inf", "infinite", "infinity", "disabled"});
}

Parsed<Duration> parse_duration(std::string_view text) {
  if (text.starts_with('-')) return wrong(in_quotes(text) + " is negative");
  if (means_no_limit(text)) return wrong("this time needs a bound");
  if (is_plain_number(text)) {
    return wrong(is_zero(text) ? in_quotes(text) + " is no time" : bare_number(text, "s"));
  }
  const auto sum = sum_of_parts(text);
  if (!sum || text.empty()) return wrong(not_a_duration(text));
  if (*sum == 0) return wrong(in_quotes(text) + " is no time");
  if (*sum > static_cast<std::uint64_t>(kLongestDuration.count())) {
    return wrong(in_quotes(text) + " is too long");
  }
  // Below a microsecond nothing is timed, nor written.
  const Duration value(static_cast<Duration::rep>(*sum - *sum % kNanosInMicro));
  if (value < kShortestDuration) return wrong(in_quotes(text) + " is too short");
  return value;
}

Parsed<Limit> parse_limit(std::string_view text) {
  if (is_off(text)) return Limit();
  if (text.starts_with('-')) return wrong(in_quotes(text) + " is negative; for no limit write off");
  if (means_no_limit(text)) return wrong(in_quotes(text) + "; for no limit write off");
  const bool zero = is_zero(text);
  auto value = parse_duration(text);
  if (value) return Limit(*value);
  return wrong(zero && value.error().ends_with("is no time")
                   ? in_quotes(text) + " would end at once; for no limit write off"
                   : std::move(value.error()));
}

Parsed<std::uint64_t> parse_size(std::string_view text, std::uint64_t min, std::uint64_t max) {
  if (text.starts_with('-')) return wrong(in_quotes(text) + " is negative");
  if (means_no_limit(text)) return wrong("this size needs a bound");
  if (is_plain_number(text) && !is_zero(text)) return wrong(bare_number(text, "B"));
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  const auto unit = std::ranges::find(kSizeUnits, rest, &Unit::name);
  if (!number || (unit == kSizeUnits.end() && !rest.empty())) return wrong(not_a_size(text));
  const auto bytes = number->times(unit == kSizeUnits.end() ? 1 : unit->scale);
  if (bytes > max) return wrong(in_quotes(text) + " is too large");
  if (bytes < min) return wrong(in_quotes(text) + " is too small");
  return bytes;
}

Parsed<std::uint32_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max) {
  if (text.size() > 1 && text.front() == '-' && std::ranges::all_of(text.substr(1), is_digit)) {
    return wrong(in_quotes(text) + " is negative");
  }
  const bool shape = !text.empty() && std::ranges::all_of(text, is_digit) &&
                     (text.size() == 1 || text.front() != '0');
  if (means_no_limit(text)) return wrong("this count needs a bound");
  if (!shape) return wrong(count_out_of_shape(text));
  const std::uint64_t value = text.size() > kMaxWholeDigits ? UINT64_MAX : to_number(text);
  if (value > max) return wrong(in_quotes(text) + " is too large");
  if (value < min) return wrong(in_quotes(text) + " is too small");
  return static_cast<std::uint32_t>(value);
}

Parsed<bool> parse_switch(std::string_view text) {
  if (is_one_of(text, {"true", "yes", "on"})) return true;
  if (is_off(text)) return false;
  return wrong(in_quotes(text) + " is neither true nor false");
}

Parsed<double> parse_share(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  const bool percent = number && rest == "%";
  if (!number || (!rest.empty() && !percent)) return wrong(in_quotes(text) + " is not a number");
  const double written =
      static_cast<double>(number->whole) +
      static_cast<double>(number->fraction) / static_cast<double>(number->fraction_scale);
  const double value = percent ? written / 100 : written;
  if (value > 1.0) return wrong(in_quotes(text) + " is too large");
  return value;
}

std::string format_duration(Duration value) {
  auto left = static_cast<std::uint64_t>(value.count());
  std::string text;
  for (const Unit& unit : {kTimeUnits[0], kTimeUnits[1]}) {
    if (left >= unit.scale) text += std::to_string(left / unit.scale) + std::string(unit.name);
    left %= unit.scale;
  }
  const Unit& unit = left >= kTimeUnits[2].scale ? kTimeUnits[2] : kTimeUnits[3];
  if (left > 0) text += decimal_text(left, unit.scale) + std::string(unit.name);
  return text.empty() ? "0s" : text;
}

std::string format_limit(const Limit& value) { return value ? format_duration(*value) : "off"; }

std::string format_size(std::uint64_t bytes) {
  const auto unit = std::ranges::find_if(
      kSizeUnits, [&](const Unit& u) { return bytes >= u.scale && bytes % u.scale == 0; });
  if (unit == kSizeUnits.end()) return "0B";
  return std::to_string(bytes / unit->scale) + std::string(unit->name);
}

std::string format_share(double value) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), value, std::chars_format::fixed);
  std::string text(digits.begin(), end.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

void append_without_controls(std::string_view text, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out.append("\\x") += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

std::string without_secrets(std::string_view text) {
  constexpr std::string_view kPem = "-----BEGIN ";
  if (text.find(kPem) != std::string_view::npos) return std::string(kPem) + "***";
  std::string out(text);
  const std::size_t scheme_end = out.find("://");
  const bool has_scheme = scheme_end != std::string::npos;
  const std::size_t begin = has_scheme ? scheme_end + 3 : 0;
  // A password that was not encoded as it should be may hold any of "/?#@".
  const std::size_t end = out.rfind('@');
  if (end == std::string::npos || end <= begin) return out;
  const std::size_t colon = out.find(':', begin);
  const bool has_password = colon < end - 1;  // unix:@NAME has none
  if (has_scheme || has_password) out.replace(begin, end - begin, "***");
  return out;
}

std::string in_quotes(std::string_view written, std::size_t longest) {
  const std::string text = without_secrets(written);
  std::size_t shown = std::min(text.size(), longest);
  while (shown < text.size() && shown > 0 && is_utf8_tail(text[shown])) --shown;
  std::string out = "\"";
  append_without_controls(std::string_view(text).substr(0, shown), out);
  if (shown < text.size()) out += "…";
  return out + '"';
}

std::string alternatives(std::span<const std::string_view> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace penstock
