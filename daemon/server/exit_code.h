// Exit codes of the program (sysexits.h where it has one).
#pragma once

namespace penstock {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 64,
  kExitAddressInUse = 69,
  kExitOutput = 74,
  kExitConfig = 78
};

}  // namespace penstock
