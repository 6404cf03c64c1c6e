// `penstock doctor -- COMMAND`: runs a command behind an instance of its own and says which of its
// requests came, how, and what was reused.
//
// The instance is a Daemon in a forked process, on a free port of 127.0.0.1, without an admin
// server; its logs go to memory that both processes share. It ends with the command, or when we do.
#pragma once

#include <string>
#include <vector>

#include "config/loader.h"

namespace penstock {

// Listeners, logs, the admin address and the grace of `loaded` are replaced, the rest stays. The
// report goes to standard error. Returns the command's exit code, 128 and the signal that ended it,
// or 126 or 127 (not found) when it cannot be run.
int run_doctor(LoadResult loaded, std::vector<std::string> command);

}  // namespace penstock
