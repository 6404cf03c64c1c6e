#include "base/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

namespace penstock {

// open() takes the lowest number that is free. A program that is started by us gets them too.
void open_closed_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) return;
  }
}

}  // namespace penstock
