#include "config/message_parts.h"

#include <algorithm>
#include <array>

#include "http/chars.h"
#include "http/field_list.h"

namespace penstock {
namespace {

using namespace std::string_view_literals;

Unexpected<std::string> wrong(std::string text) { return Unexpected<std::string>{std::move(text)}; }

bool is_small_letter(char c) { return c >= 'a' && c <= 'z'; }

std::string in_capitals(std::string_view text) {
  std::string capitals(text);
  for (char& c : capitals) c = is_small_letter(c) ? static_cast<char>(c - 'a' + 'A') : c;
  return capitals;
}

// What a target may hold as received; the rest an app has to write as %XX.
bool is_target_byte(char c) { return c > ' ' && c < 0x7f && c != '#'; }

// Fields that say something to whoever handles the message and are not among the ones that
// identify_field() tells apart.
bool means_something_else(std::string_view name) {
  constexpr std::array kNames = {"accept-encoding"sv, "cache-control"sv, "forwarded"sv,
                                 "grpc-timeout"sv,    "range"sv,         "user-agent"sv};
  constexpr std::string_view kContent = "content-";
  return identify_field(name) != FieldId::kOther ||
         equals_ignoring_case(name.substr(0, kContent.size()), kContent) ||
         std::ranges::any_of(kNames, [&](auto other) { return equals_ignoring_case(name, other); });
}

}  // namespace

Parsed<std::string> check_method(std::string_view text) {
  if (!chars::is_token(text)) return wrong(in_quotes(text) + " is no method");
  // Methods are case-sensitive (RFC 9110 section 9.1), and no known one has small letters.
  if (std::ranges::any_of(text, is_small_letter)) {
    return wrong(in_quotes(text) + " has small letters; write " + in_capitals(text));
  }
  return std::string(text);
}

Parsed<std::string> check_path_prefix(std::string_view text) {
  if (!text.starts_with('/')) return wrong(in_quotes(text) + " does not begin with /");
  if (text.find('#') != std::string_view::npos) {
    return wrong(in_quotes(text) + " has a fragment, which no request carries");
  }
  if (!std::ranges::all_of(text, is_target_byte)) {
    return wrong(in_quotes(text) + " holds a character that a request has as %XX");
  }
  return std::string(text);
}

Parsed<std::string> check_deadline_header(std::string_view text) {
  if (!chars::is_token(text)) return wrong(in_quotes(text) + " is no name of a field");
  if (means_something_else(text)) {
    return wrong(in_quotes(text) + " has a meaning of its own; write a name like " +
                 "X-Penstock-Timeout");
  }
  return std::string(text);
}

}  // namespace penstock
