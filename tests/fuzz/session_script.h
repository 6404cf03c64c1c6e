// What happens to clients and origins in one run of the session target, as text, so that seeds can
// be read and written by hand:
//
//   @c\nGET http://api.test/ HTTP/1.1\r\nHost: h\r\n\r\n\n@u\nHTTP/1.1 200 OK\r\n...
//
// A step begins with '@' at the start of a line, then comes its letter, then digits, then a line
// end and bytes for the steps that take some. What makes no sense is passed over.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace penstock::fuzz {

struct ScriptStep {
  char letter = 0;           // see SessionWorld::play()
  std::uint32_t number = 0;  // 0 where none is written
  std::string_view bytes;
};

inline std::vector<ScriptStep> read_script(std::string_view text) {
  constexpr std::size_t kMostSteps = 100;
  constexpr std::uint32_t kMostNumber = 1'000'000;
  constexpr std::string_view kMark = "\n@";
  std::vector<ScriptStep> steps;
  if (text.starts_with('@')) text.remove_prefix(1);
  while (!text.empty() && steps.size() < kMostSteps) {
    const std::size_t end = std::min(text.find(kMark), text.size());
    ScriptStep step;
    step.bytes = text.substr(0, end);
    text.remove_prefix(std::min(end + kMark.size(), text.size()));
    if (step.bytes.empty()) continue;
    step.letter = step.bytes.front();
    step.bytes.remove_prefix(1);
    while (!step.bytes.empty() && step.bytes.front() >= '0' && step.bytes.front() <= '9') {
      step.number = step.number * 10 + static_cast<std::uint32_t>(step.bytes.front() - '0');
      step.number = std::min(step.number, kMostNumber);
      step.bytes.remove_prefix(1);
    }
    if (step.bytes.starts_with('\n')) step.bytes.remove_prefix(1);
    steps.push_back(step);
  }
  return steps;
}

}  // namespace penstock::fuzz
