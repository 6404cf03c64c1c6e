// How many segments with data a TCP socket has sent.
//
// Apart from all else, since only the kernel's header knows the count, and no file can have that
// beside netinet/tcp.h.
#pragma once

#include <cstdint>

namespace penstock {

std::uint32_t segments_sent(int fd);

}  // namespace penstock
