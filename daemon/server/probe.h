// A health check without a shell tool, for HEALTHCHECK and exec probes: one question to the admin
// server, answered by the exit code.
#pragma once

#include <string>

namespace penstock {

struct ProbeResult {
  bool healthy = false;  // the answer was 200
  std::string text;      // the answer's body, or why there was none
};

// GET `path` from the admin server at host:port. Blocks, for two seconds at most.
ProbeResult probe(const std::string& address, const std::string& path);

}  // namespace penstock
