// `penstock pools` and `penstock top`: what the running daemon's pools hold, and an operator's hand
// on them, by its admin address.
#pragma once

#include <string>

namespace penstock {

struct PoolsCommand {
  std::string upstream;  // show only its hosts; empty: all
  std::string target;    // the upstream that the action is for
  std::string action;    // one of kPoolActions; empty: show
  bool json = false;     // the answer as it came
};

// Both ask host:port, print to standard output, say on standard error what went wrong, and give the
// exit code.
int run_pools(const std::string& address, const PoolsCommand& command);
// Until q, Ctrl-C or SIGTERM. Needs a terminal, else kExitUsage.
int run_top(const std::string& address);

}  // namespace penstock
