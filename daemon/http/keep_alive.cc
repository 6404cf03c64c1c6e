#include "http/keep_alive.h"

#include <algorithm>
#include <charconv>

#include "http/chars.h"

namespace penstock {

namespace {

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// 1*DIGIT; what is larger than any use of it is the largest number.
std::optional<std::uint32_t> parse_number(std::string_view text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), chars::is_digit)) return std::nullopt;
  std::uint32_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc::result_out_of_range ? UINT32_MAX : number;
}

void lower(std::optional<std::uint32_t>& smallest, std::string_view text) {
  const auto number = parse_number(text);
  if (number) smallest = std::min(*number, smallest.value_or(UINT32_MAX));
}

void read_parameter(std::string_view text, KeepAlive& found) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = trimmed(text.substr(0, equals));
  const std::string_view value = trimmed(text.substr(equals + 1));
  if (equals_ignoring_case(name, "timeout")) lower(found.timeout_seconds, value);
  if (equals_ignoring_case(name, "max")) lower(found.max_requests, value);
}

}  // namespace

KeepAlive read_keep_alive(const FieldList& fields) {
  KeepAlive found;
  if (!fields.contains(FieldId::kKeepAlive)) return found;
  for (const Field& field : fields) {
    if (field.id != FieldId::kKeepAlive) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      read_parameter(rest.substr(0, comma), found);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return found;
}

}  // namespace penstock
