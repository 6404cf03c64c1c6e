#include "telemetry/escape.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace penstock {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

constexpr bool is_plain_json(unsigned char c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

constexpr auto kPlainJson = [] {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < 256; ++c) table[c] = is_plain_json(static_cast<unsigned char>(c));
  return table;
}();

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHighBits = 0x8080808080808080;

constexpr std::uint64_t repeated(unsigned char c) { return kOnes * c; }

// Eight bytes at once, since nearly every text in a log line is plain from end to end. Plain bytes
// leave every high bit below clear and neither borrow nor carry, so the first byte that is not
// plain meets none and sets its own: by itself when it is above 0x7f, by the sum when it is 0x7f,
// else by the difference that falls below zero.
bool all_plain_json(std::uint64_t word) {
  const std::uint64_t marks = word | (word + kOnes) | (word - repeated(0x20)) |
                              ((word ^ repeated('"')) - kOnes) | ((word ^ repeated('\\')) - kOnes);
  return (marks & kHighBits) == 0;
}

// Copies the word when it is plain.
bool copy_plain_word(char* out, const char* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  if (!all_plain_json(word)) return false;
  std::memcpy(out, &word, sizeof(word));
  return true;
}

bool is_continuation(unsigned char c) { return (c & 0xc0) == 0x80; }

// The second byte's bounds keep out overlong forms, surrogates and what lies above U+10FFFF
// (RFC 3629 section 4).
bool second_byte_fits(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xe0:
      return second >= 0xa0;
    case 0xed:
      return second < 0xa0;
    case 0xf0:
      return second >= 0x90;
    case 0xf4:
      return second < 0x90;
    default:
      return true;
  }
}

std::size_t announced_length(unsigned char first) {
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

// The length of the UTF-8 sequence of two bytes or more that `text` begins with; 0 when it does
// not.
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = announced_length(byte(0));
  if (length == 0 || text.size() < length || !second_byte_fits(byte(0), byte(1))) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(byte(i))) return 0;
  }
  return length;
}

char* write_hex_byte(char* out, unsigned char c) {
  *out++ = kHexDigits[c >> 4];
  *out++ = kHexDigits[c & 0xf];
  return out;
}

char* write_hex_escape(char* out, unsigned char c) {
  *out++ = '\\';
  *out++ = 'x';
  return write_hex_byte(out, c);
}

char* write_json_byte(char* out, unsigned char c) {
  *out++ = '\\';
  switch (c) {
    case '"':
    case '\\':
      *out++ = static_cast<char>(c);
      return out;
    case '\n':
      *out++ = 'n';
      return out;
    case '\r':
      *out++ = 'r';
      return out;
    case '\t':
      *out++ = 't';
      return out;
    default:
      break;
  }
  std::memcpy(out, "u00", 3);
  return write_hex_byte(out + 3, c);
}

// The length of the character that `text` begins with; 0 when that is a control (C1 too, U+0080 to
// U+009F) or no character.
std::size_t printable_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = utf8_sequence(text);
  const bool control = length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
  return control ? 0 : length;
}

std::string_view html_entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

char* write_html_printable(char* out, std::string_view character) {
  const std::string_view entity = html_entity(character.front());
  const std::string_view shown = entity.empty() ? character : entity;
  std::memcpy(out, shown.data(), shown.size());
  return out + shown.size();
}

char* write_json_bytewise(char* out, std::string_view text) {
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    std::size_t taken = 1;
    if (kPlainJson[c]) {
      *out++ = text.front();
    } else if (const std::size_t length = c < 0x80 ? 0 : utf8_sequence(text)) {
      std::memcpy(out, text.data(), length);
      out += length;
      taken = length;
    } else {
      out = write_json_byte(out, c);
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace

char* write_json_escaped(char* out, std::string_view text) {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  if (text.size() < kWord) return write_json_bytewise(out, text);
  const char* from = text.data();
  const char* const end = from + text.size();
  const char* const last_word = end - kWord;
  for (; from < last_word; from += kWord, out += kWord) {
    if (!copy_plain_word(out, from))
      return write_json_bytewise(out, {from, static_cast<std::size_t>(end - from)});
  }
  // The last word may overlap the one before, whose bytes are plain and so already in their places.
  const std::ptrdiff_t rest = end - from;
  if (copy_plain_word(out + rest - kWord, last_word)) return out + rest;
  return write_json_bytewise(out, {from, static_cast<std::size_t>(rest)});
}

char* write_text_escaped(char* out, std::string_view text) {
  for (const char each : text) {
    const auto c = static_cast<unsigned char>(each);
    if (c > 0x20 && c < 0x7f && c != '\\') {
      *out++ = each;
    } else {
      out = write_hex_escape(out, c);
    }
  }
  return out;
}

char* write_html_escaped(char* out, std::string_view text) {
  while (!text.empty()) {
    std::size_t taken = 1;
    if (const std::size_t length = printable_length(text)) {
      out = write_html_printable(out, text.substr(0, length));
      taken = length;
    } else {
      out = write_hex_escape(out, static_cast<unsigned char>(text.front()));
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace penstock
