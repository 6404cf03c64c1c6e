// Failures of system calls that are nobody's fault but ours, and pass.
#pragma once

#include <cerrno>

namespace penstock {

// Out of descriptors or of the kernel's memory.
inline bool is_shortage(int sys) {
  return sys == EMFILE || sys == ENFILE || sys == ENOBUFS || sys == ENOMEM;
}

}  // namespace penstock
