// Classes of bytes, as tables made by the compiler; independent of any locale.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::chars {

using Class = std::array<bool, 256>;

constexpr bool between(int c, int low, int high) { return c >= low && c <= high; }
constexpr std::size_t index(char c) { return static_cast<unsigned char>(c); }

// RFC 9110 section 5.6.2.
inline constexpr Class kToken = [] {
  Class members{};
  for (int c = 0; c < 256; ++c) {
    members[static_cast<std::size_t>(c)] =
        between(c, '0', '9') || between(c, 'A', 'Z') || between(c, 'a', 'z');
  }
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) members[index(c)] = true;
  return members;
}();

inline constexpr std::array<char, 256> kLower = [] {
  std::array<char, 256> lower{};
  for (int c = 0; c < 256; ++c) {
    lower[static_cast<std::size_t>(c)] =
        static_cast<char>(between(c, 'A', 'Z') ? c + ('a' - 'A') : c);
  }
  return lower;
}();

// -1 for what is no hexadecimal digit.
inline constexpr std::array<std::int8_t, 256> kHexValue = [] {
  std::array<std::int8_t, 256> value{};
  for (auto& v : value) v = -1;
  for (int d = 0; d < 10; ++d)
    value[static_cast<std::size_t>('0' + d)] = static_cast<std::int8_t>(d);
  for (int d = 10; d < 16; ++d) {
    value[static_cast<std::size_t>('a' + d - 10)] = static_cast<std::int8_t>(d);
    value[static_cast<std::size_t>('A' + d - 10)] = static_cast<std::int8_t>(d);
  }
  return value;
}();

constexpr bool is_token(char c) { return kToken[index(c)]; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
// Neither a control (HT excepted) nor DEL: VCHAR, blanks and obs-text, RFC 9110 section 5.5.
constexpr bool is_text(char c) { return (index(c) >= 0x20 && c != 0x7f) || c == '\t'; }
constexpr char lower(char c) { return kLower[index(c)]; }

constexpr bool is_token(std::string_view text) {
  for (char c : text) {
    if (!is_token(c)) return false;
  }
  return !text.empty();
}

constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace penstock::chars
