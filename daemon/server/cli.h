// The command line: which command, which configuration, and where its answer goes.
#pragma once

namespace penstock {

// Runs the program; the exit code (server/exit_code.h).
int run_cli(int argc, char** argv);

}  // namespace penstock
