// A script of chunks, ends, resets, short writes and passing time, for clients and origins of the
// real Proxy, pool and exchanges: nothing spins or leaks, no assertion fires, and both sides get
// messages that say what the other side sent.
#include "fuzz/session_check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::fuzz;
  const std::vector<ScriptStep> script = read_script({reinterpret_cast<const char*>(data), size});
  // o: the settings; only at the front.
  const bool chosen = !script.empty() && script.front().letter == 'o';
  SessionWorld world(chosen ? script.front().number : 0);
  for (const ScriptStep& step : script) world.play(step);
  check_world(world);
  return 0;
}
