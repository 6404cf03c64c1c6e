#include "config/syntax_words.h"

#include <algorithm>
#include <array>

#include "config/values.h"

namespace penstock {
namespace {

struct Saying {
  std::string_view yaml;  // a part of the library's message
  std::string_view ours;
};

constexpr std::array kSayings = {
    Saying{"end of map not found",
           "the indentation of this line fits none of the lines above, or it is no `key: value`"},
    Saying{"end of sequence not found",
           "this line is neither an item of the list above (`- item`) "
           "nor outside of it; check its indentation"},
    Saying{"end of map flow",
           "this { is never closed, or a comma is missing after one of its values"},
    Saying{"end of sequence flow",
           "this [ is never closed, or a comma is missing after one of its items"},
    Saying{"illegal EOF in scalar", "a quote is opened and never closed"},
    Saying{"illegal document indicator", "a quote is opened and never closed"},
    Saying{
        "illegal map value",
        "a value cannot hold `: ` unless it is quoted; or the indentation of this line is wrong"},
    Saying{"illegal map key", "a key cannot stand here; check the indentation"},
    Saying{"illegal flow end", "this bracket closes nothing that is open"},
    Saying{"illegal block entry", "a list item (`- `) cannot stand here; put it on its own line"},
    Saying{"unknown escape character",
           "unknown escape after \\; use single quotes, in which \\ is just a character"},
    Saying{"unexpected character in block scalar",
           "a value cannot start with > or | unless it is quoted"},
    Saying{"anchor not found", "& makes an anchor in YAML; quote the value"},
    Saying{"illegal tab", "a tab indents this line; YAML wants spaces"},
};

std::string_view line_at(std::string_view text, int line) {
  for (int i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find_first_of("\r\n"));
}

bool is_indented_by_tab(std::string_view line) {
  return line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

// The value that begins at `from`: up to a comma, a closing bracket, a comment or the line's end.
std::string_view value_from(std::string_view line, std::size_t from) {
  line.remove_prefix(std::min(from, line.size()));
  line = line.substr(0, std::min(line.find_first_of(",]}"), line.find(" #")));
  return line.substr(0, line.find_last_not_of(" \t:") + 1);
}

// The library points at the star or just behind it.
std::string star_advice(std::string_view line, int column) {
  const std::size_t behind = static_cast<std::size_t>(column);
  const std::size_t star = line.rfind('*', behind > 0 ? behind - 1 : 0);
  const std::string_view value = star == std::string_view::npos ? "*" : value_from(line, star);
  return "a bare * makes an alias in YAML; quote it: \"" + std::string(value) + '"';
}

std::string reserved_character_advice(std::string_view line, int column) {
  const std::string_view value = value_from(line, static_cast<std::size_t>(column - 1));
  if (value.empty()) return "a character that cannot stand here in YAML";
  return std::string("a value cannot start with ") + value.front() + "; quote it: \"" +
         std::string(value) + '"';
}

bool mentions(std::string_view message, std::string_view part) {
  return message.find(part) != std::string_view::npos;
}

// The length of the UTF-8 sequence at the front; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead < 0x80                    ? 1
                             : lead >= 0xC2 && lead < 0xE0  ? 2
                             : lead >= 0xE0 && lead < 0xF0  ? 3
                             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
  const bool too_high = lead == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || too_high ? 0 : length;
}

bool is_foreign_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\n' && c != '\r' && c != '\t') || byte == 0x7f;
}

}  // namespace

std::string explain_syntax(std::string_view message, Position at, std::string_view text) {
  const std::string_view line = line_at(text, at.line);
  if (mentions(message, "referenced anchor") || mentions(message, "alias not found") ||
      mentions(message, "scanning alias")) {
    return star_advice(line, at.column);
  }
  if (is_indented_by_tab(line)) return "a tab indents this line; YAML wants spaces";
  if (mentions(message, "unknown token")) return reserved_character_advice(line, at.column);
  const auto saying = std::ranges::find_if(
      kSayings, [&](const Saying& candidate) { return mentions(message, candidate.yaml); });
  if (saying != kSayings.end()) return std::string(saying->ours);
  return "not valid YAML: " + std::string(message);
}

Fault find_foreign_byte(std::string_view text) {
  Position at{1, 1};
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return {at, "", "a byte that is not UTF-8 text"};
    if (is_foreign_control(text.front())) {
      return {at, "", "a control character: " + in_quotes(text.substr(0, 1))};
    }
    at.column += static_cast<int>(length);
    if (text.front() == '\n') at = {at.line + 1, 1};
    text.remove_prefix(length);
  }
  return {};
}

}  // namespace penstock
