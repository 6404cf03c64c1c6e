#include "support/segments_sent.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace penstock {

std::uint32_t segments_sent(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_data_segs_out : 0;
}

}  // namespace penstock
