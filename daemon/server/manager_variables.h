// What the service manager says in our environment. sd_listen_fds(3) and sd_watchdog_enabled(3)
// tell its meaning; their library is not called, since it brings six more with it, a megabyte of
// each process.
#pragma once

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

namespace penstock {

// Empty when it is not set.
inline std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

// Decimal digits alone, or nothing.
template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace penstock
