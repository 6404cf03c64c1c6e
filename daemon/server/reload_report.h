// What a reload did, or why it did nothing: one value for the log, the admin server and the service
// manager.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "config/diff.h"

namespace penstock {

struct ReloadReport {
  // Of one upstream's connections.
  struct Connections {
    std::uint32_t trimmed = 0;  // idle ones above the limits, closed
    std::uint32_t retired = 0;  // idle ones of another identity, closed
    std::uint32_t open = 0;     // those that there are after it, of whatever kind
  };

  std::uint64_t revision = 0;       // of the configuration that is in force after it
  std::string error;                // empty: it was applied
  std::vector<std::string> faults;  // a line each; not empty when there is an error
  ConfigDiff changes;
  std::map<std::string, Connections, std::less<>> connections;  // by the upstream's name

  bool ok() const { return error.empty(); }
  // Nothing is applied: `error` in a word, `faults` line by line.
  void refuse(std::string what, std::vector<std::string> lines);
  // One line a listener, upstream or set of keys.
  std::vector<std::string> lines() const;
  // {"revision":2,"changes":[{"upstream":"payments","fate":"changed",...,"text":"..."}]}
  // {"revision":1,"error":"2 faults in FILE","faults":["FILE:3:1: ...",...]}
  std::string to_json() const;
};

// Called on the control loop, once.
using ReloadDone = std::function<void(const ReloadReport&)>;

}  // namespace penstock
