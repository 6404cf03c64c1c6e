#include "server/admin_target.h"

#include <algorithm>
#include <charconv>

namespace penstock {

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  while (!text.empty()) {
    char byte = text.front();
    text.remove_prefix(1);
    if (byte == '%') {
      unsigned value = 0;
      if (text.size() < 2) return std::nullopt;
      const auto [end, error] = std::from_chars(text.data(), text.data() + 2, value, 16);
      if (error != std::errc() || end != text.data() + 2) return std::nullopt;
      byte = static_cast<char>(value);
      text.remove_prefix(2);
    }
    decoded += byte;
  }
  return decoded;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded.append({'%', kHex[byte / 16], kHex[byte % 16]});
    }
  }
  return encoded;
}

std::string query_value(std::string_view target, std::string_view key) {
  const std::size_t question = target.find('?');
  if (question == std::string_view::npos) return {};
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    if (pair.size() > key.size() && pair.starts_with(key) && pair[key.size()] == '=')
      return percent_decoded(pair.substr(key.size() + 1)).value_or(std::string());
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

}  // namespace penstock
