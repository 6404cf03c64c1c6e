// The command line: which command, which configuration, and where its answer goes.
#pragma once

namespace penstock {

// Runs the program; the exit code (server/daemon.h, ExitCode).
int run_cli(int argc, char** argv);

}  // namespace penstock
