// Pipes through which the kernel moves bytes from one socket to another without a copy (splice(2)).
//
// Few are lent at a time, so that what waits in them for slow readers is bounded, and so are the
// descriptors. A pipe belongs to its user only while bytes are in it or on their way.
//
// Owner: a Proxy; it outlives whoever has a pipe of it. Thread: its worker's.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "net/unique_fd.h"

namespace penstock {

struct Pipe {
  UniqueFd out;          // what was put in comes out here
  UniqueFd in;           // bytes are put in here
  std::size_t held = 0;  // bytes that are in it
};

class PipePool {
 public:
  // The 64 KiB that a pipe has by itself cost a half more CPU time (tests/bench/tunnel.sh).
  static constexpr std::size_t kPipeBytes = 256 * 1024;

  explicit PipePool(std::size_t max_lent = 16) : max_lent_(max_lent) {}
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  // An empty one; null when enough are lent, or no descriptor is free.
  std::unique_ptr<Pipe> lend();
  // With whatever is left in it: that is lost then.
  void give_back(std::unique_ptr<Pipe> pipe);

  std::size_t lent() const { return lent_; }

 private:
  const std::size_t max_lent_;
  std::size_t lent_ = 0;
  std::vector<std::unique_ptr<Pipe>> spare_;  // empty ones
};

}  // namespace penstock
