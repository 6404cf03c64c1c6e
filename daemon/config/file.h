// Reading a small file whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "config/values.h"

namespace penstock {

// The most that a file may have which the configuration names.
inline constexpr std::size_t kMaxFileBytes = 16 * 1024 * 1024;

// The bytes, or why they cannot be had and by whom. `stream_allowed`: a pipe will do, too; anything
// else that is not a regular file is refused, since reading it may never end.
Parsed<std::string> read_file(const std::string& path, std::size_t max_bytes, bool stream_allowed);

// Tells two contents apart, and two reasons why there is none. Of this process only.
inline std::uint64_t digest(const Parsed<std::string>& content) {
  const std::hash<std::string> hash;
  return content ? hash(*content) : ~hash(content.error());
}

// A file as it was when it was read.
struct ReadFile {
  std::string path;
  std::uint64_t digest = 0;
  bool operator==(const ReadFile&) const = default;
};

}  // namespace penstock
