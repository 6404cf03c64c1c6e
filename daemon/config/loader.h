// From a file to a Config, or to all that is wrong with it.
//
// Total: whatever the bytes are, a LoadResult comes back and nothing is thrown. The files that a
// policy names are read too, so nothing needs to be read again while the daemon runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/fault.h"
#include "config/file.h"
#include "config/settings.h"

namespace penstock {

inline constexpr std::size_t kMaxConfigBytes = 4 * 1024 * 1024;

struct LoadResult {
  std::string file;           // as it was named; "built-in" where there is none
  ConfigSnapshot config;      // null exactly when there are faults
  std::vector<Fault> faults;  // by position
  std::vector<Fault> risks;   // worth a warning, by position
  SourceMap sources;
  std::vector<ReadFile> files;  // the file itself and those it names, as they were read

  bool ok() const { return config != nullptr; }
  std::vector<std::string> fault_lines() const;  // FILE:LINE:COLUMN: key: what
  std::vector<std::string> risk_lines() const;
};

LoadResult load_file(const std::string& path);
// `name` is what faults call the text; relative paths in it start from the name's folder.
LoadResult load_text(const std::string& name, std::string_view text);
// What the daemon does without a file: 127.0.0.1:3128 and a catch-all upstream.
LoadResult load_default();
Config default_config();

// Where a running daemon may be asked, by a file that may be half edited: its section `admin` as
// far as it can be read, defaults for the rest. Whatever is wrong elsewhere, the daemon still
// serves.
AdminSettings read_admin(std::string_view text);

}  // namespace penstock
