#include "config/key_row.h"

#include <algorithm>

namespace penstock::key_row {
namespace {

// A text that YAML would read as something else, or that would end the list.
bool needs_quotes(std::string_view text) {
  return text.empty() || text.find_first_of("*&!%@`,[]{}#\"' ") != std::string_view::npos;
}

// Another spelling of no limit than the row's own.
Wrong misspelled_nothing(const KeyRow& row, std::string_view text) {
  const bool negative = text.starts_with('-');
  if (row.nothing.empty() || row.nothing == "auto" || !(negative || means_no_limit(text)))
    return std::nullopt;
  return in_quotes(text) + (negative ? " is negative" : "") + "; for no limit write " +
         std::string(row.nothing);
}

}  // namespace

Wrong assign(const KeyRow& row, std::uint64_t& field, std::string_view text) {
  if (is_nothing(row, text)) {
    field = 0;
    return std::nullopt;
  }
  if (Wrong wrong = misspelled_nothing(row, text)) return wrong;
  return store(parse_size(text, row.min, row.max), field);
}

Wrong assign(const KeyRow& row, std::uint32_t& field, std::string_view text) {
  if (is_nothing(row, text)) {
    field = kUnlimitedCount;
    return std::nullopt;
  }
  if (Wrong wrong = misspelled_nothing(row, text)) return wrong;
  return store(parse_count(text, row.min, row.max), field);
}

Wrong assign(const KeyRow& row, Count& field, std::string_view text) {
  if (is_nothing(row, text)) {
    field.reset();
    return std::nullopt;
  }
  std::uint32_t count = 0;
  Wrong wrong = store(parse_count(text, row.min, row.max), count);
  if (!wrong) field = count;
  return wrong;
}

std::string show(const KeyRow& row, const std::uint64_t& field) {
  return field == 0 && !row.nothing.empty() ? std::string(row.nothing) : format_size(field);
}

std::string show(const KeyRow& row, const std::uint32_t& field) {
  return field == kUnlimitedCount ? std::string(row.nothing) : std::to_string(field);
}

std::string show(const KeyRow& row, const Count& field) {
  return field ? std::to_string(*field) : std::string(row.nothing);
}

std::optional<std::size_t> find_word(const KeyRow& row, std::string_view text) {
  const auto at = std::ranges::find_if(row.words, [&](std::string_view candidate) {
    return text == candidate || (candidate == "off" && is_off(text));
  });
  if (at == row.words.end()) return std::nullopt;
  return static_cast<std::size_t>(at - row.words.begin());
}

bool is_nothing(const KeyRow& row, std::string_view text) {
  if (row.nothing.empty()) return false;
  return text == row.nothing || (row.nothing == "off" && is_off(text));
}

std::string flow_list(std::span<const std::string> items, std::string_view nothing) {
  if (items.empty() && !nothing.empty()) return std::string(nothing);
  std::string text = "[";
  for (const std::string& item : items) {
    if (text.size() > 1) text += ", ";
    text += needs_quotes(item) ? '"' + item + '"' : item;
  }
  return text + ']';
}

}  // namespace penstock::key_row
