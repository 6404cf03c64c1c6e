// Lines on their way from the workers to the thread that writes them: whole blocks, a bounded
// number of them.
//
// A worker fills a block of its own without any lock and meets the writing thread once per block.
// Owner: the AccessLog. Thread: any; one mutex guards the two lists. When every block is in use
// there is no other to be had, and the worker drops its line.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace penstock {

struct LogBlock {
  static constexpr std::size_t kBytes = 64 * 1024;

  std::string_view text() const { return {bytes, size}; }
  std::size_t room() const { return kBytes - size; }

  std::size_t size;
  char bytes[kBytes];
};

using LogBlockPtr = std::unique_ptr<LogBlock>;

class LogBlocks {
 public:
  explicit LogBlocks(std::size_t max_blocks);
  LogBlocks(const LogBlocks&) = delete;
  LogBlocks& operator=(const LogBlocks&) = delete;

  // An empty block; nullptr when all are in use.
  LogBlockPtr take_empty();
  void push_filled(LogBlockPtr block);
  void give_back(LogBlockPtr block);
  // More than half of the blocks are in use: the writing thread lags, so half-empty blocks should
  // not be pushed.
  bool congested() const;

  // Waits until there are filled blocks or wake() was called since the last wait; moves all filled
  // ones to `batch`, which is empty. False once closed: then these were the last.
  bool wait_filled(std::vector<LogBlockPtr>& batch);
  void wake();
  // Nothing is pushed after this.
  void close();

 private:
  // Kept for the next lines; what a stall needed beyond these is freed.
  static constexpr std::size_t kMaxKept = 8;

  const std::size_t max_blocks_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<LogBlockPtr> filled_;
  std::vector<LogBlockPtr> empty_;
  std::size_t in_use_ = 0;  // those that are not in empty_
  bool woken_ = false;
  bool closed_ = false;
};

}  // namespace penstock
