#include "net/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace penstock {

namespace {

constexpr std::size_t kMaxSpare = 4;

std::unique_ptr<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  auto pipe = std::make_unique<Pipe>();
  pipe->out.reset(ends[0]);
  pipe->in.reset(ends[1]);
  // Over the user's allowance it stays as small as it is.
  ::fcntl(ends[1], F_SETPIPE_SZ, PipePool::kPipeBytes);
  return pipe;
}

}  // namespace

std::unique_ptr<Pipe> PipePool::lend() {
  if (lent_ >= max_lent_) return nullptr;
  std::unique_ptr<Pipe> pipe;
  if (spare_.empty()) {
    pipe = make_pipe();
  } else {
    pipe = std::move(spare_.back());
    spare_.pop_back();
  }
  if (pipe != nullptr) ++lent_;
  return pipe;
}

void PipePool::give_back(std::unique_ptr<Pipe> pipe) {
  --lent_;
  if (pipe->held == 0 && spare_.size() < kMaxSpare) spare_.push_back(std::move(pipe));
}

}  // namespace penstock
