// Whether a file is still the one that was read, without reading it.
#pragma once

#include <cstdint>
#include <string>

namespace penstock {

struct FileStamp {
  std::uint64_t device = 0;  // all zero: there is none
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  std::int64_t modified_ns = 0;

  bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const std::string& path);
// Empty when it cannot be read.
std::string read_text(const std::string& path);

}  // namespace penstock
