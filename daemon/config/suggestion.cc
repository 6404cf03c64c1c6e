#include "config/suggestion.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace penstock {
namespace {

constexpr std::size_t kLongestWord = 64;

// As people write keys elsewhere: maxIdle, max-idle, MAX_IDLE.
std::string in_our_spelling(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    const bool capital = word[i] >= 'A' && word[i] <= 'Z';
    const bool after_small = i > 0 && word[i - 1] >= 'a' && word[i - 1] <= 'z';
    if (capital && after_small) out += '_';
    out += word[i] == '-' ? '_' : static_cast<char>(capital ? word[i] | 0x20 : word[i]);
  }
  return out;
}

// Edits (a letter added, dropped, changed, or two swapped) between the words.
std::size_t distance(std::string_view a, std::string_view b) {
  const std::size_t width = b.size() + 1;
  std::vector<std::size_t> before(width), last(width), now(width);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j < width; ++j) {
      const bool same = a[i - 1] == b[j - 1];
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last.back();
}

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('.') + 1); }

// The same key in another section of this scope, or in `defaults`.
std::optional<std::string> key_elsewhere(KeyScope scope, std::string_view word) {
  for (const KeyRow& row : key_rows()) {
    if (stands_in(row.scope, scope) && last_part(row.path) == word) return std::string(row.path);
  }
  if (word == "routes") return "upstreams[].routes";
  if (scope == KeyScope::kUpstream && find_key(KeyScope::kRoute, word) != nullptr) {
    return "routes[]." + std::string(word);
  }
  if (scope != KeyScope::kTop) return std::nullopt;
  if (is_section(KeyScope::kPolicy, word)) return "defaults." + std::string(word);
  const auto policy_key = key_elsewhere(KeyScope::kPolicy, word);
  if (policy_key) return "defaults." + *policy_key;
  return std::nullopt;
}

std::string join(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known) {
  if (word.size() > kLongestWord) return std::nullopt;
  const std::string spelled = in_our_spelling(word);
  std::size_t best = std::max<std::size_t>(spelled.size() / 3, 1) + 1;
  std::optional<std::string> found;
  for (const std::string& candidate : known) {
    const std::size_t edits = distance(spelled, candidate);
    if (edits >= best || edits >= candidate.size()) continue;
    best = edits;
    found = candidate;
  }
  return found;
}

std::vector<std::string> keys_of_section(KeyScope scope, std::string_view section) {
  std::vector<std::string> keys;
  const std::string prefix = section.empty() ? "" : std::string(section) + '.';
  if (scope == KeyScope::kTop && section.empty()) keys = {"listeners", "defaults", "upstreams"};
  if (scope == KeyScope::kUpstream && section.empty()) keys = {"routes"};
  for (const KeyRow& row : key_rows()) {
    if (!stands_in(row.scope, scope) || !row.path.starts_with(prefix)) continue;
    const std::string_view below = row.path.substr(prefix.size());
    std::string key(below.substr(0, below.find('.')));
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

std::string describe_unknown_key(KeyScope scope, std::string_view section, std::string_view key) {
  if (key.find(':') != std::string_view::npos) return "unknown key; a space goes after the colon";
  const std::vector<std::string> known = keys_of_section(scope, section);
  auto meant = nearest(key, known);
  if (!meant) meant = key_elsewhere(scope, in_our_spelling(key));
  if (meant) return "unknown key; did you mean " + *meant + '?';
  return "unknown key (" + join(known) + ')';
}

}  // namespace penstock
