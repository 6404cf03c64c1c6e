#include "stage.h"

#include <cstdio>
#include <cstdlib>

namespace penstock::sim {

void Stage::finding(const std::string& what) const {
  progress.told = true;
  std::fflush(stdout);
  std::fprintf(stderr, "seed %llu step %llu: %s\n", static_cast<unsigned long long>(progress.seed),
               static_cast<unsigned long long>(progress.step), what.c_str());
  std::fflush(stderr);
  std::_Exit(1);
}

void Stage::trace(const std::string& line) const {
  if (!tracing_) return;
  const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(now().time_since_epoch());
  const std::string worker = current == kNobody ? "-" : std::to_string(current);
  std::fprintf(stderr, "%5llu %9lld ms  %s  %s\n", static_cast<unsigned long long>(progress.step),
               static_cast<long long>(at.count()), worker.c_str(), line.c_str());
}

}  // namespace penstock::sim
