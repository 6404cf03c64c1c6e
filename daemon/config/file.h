// Reading a small file whole.
#pragma once

#include <cstddef>
#include <string>

#include "config/values.h"

namespace penstock {

// The bytes, or why they cannot be had and by whom. `stream_allowed`: a pipe will do, too; anything
// else that is not a regular file is refused, since reading it may never end.
Parsed<std::string> read_file(const std::string& path, std::size_t max_bytes, bool stream_allowed);

}  // namespace penstock
