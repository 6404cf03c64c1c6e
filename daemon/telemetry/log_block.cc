#include "telemetry/log_block.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace penstock {

LogBlocks::LogBlocks(std::size_t max_blocks) : max_blocks_(max_blocks) {
  filled_.reserve(max_blocks);
  empty_.reserve(std::min(max_blocks, kMaxKept));
}

LogBlockPtr LogBlocks::take_empty() {
  const std::lock_guard lock(mutex_);
  if (in_use_ == max_blocks_) return nullptr;
  ++in_use_;
  if (empty_.empty()) {
    // Not value-initialised: pages that no line needs stay untouched.
    LogBlockPtr block = std::make_unique_for_overwrite<LogBlock>();
    block->size = 0;
    return block;
  }
  LogBlockPtr block = std::move(empty_.back());
  empty_.pop_back();
  block->size = 0;
  return block;
}

void LogBlocks::push_filled(LogBlockPtr block) {
  {
    const std::lock_guard lock(mutex_);
    filled_.push_back(std::move(block));
  }
  changed_.notify_one();
}

void LogBlocks::give_back(LogBlockPtr block) {
  const std::lock_guard lock(mutex_);
  --in_use_;
  if (empty_.size() < kMaxKept) empty_.push_back(std::move(block));
}

bool LogBlocks::congested() const {
  const std::lock_guard lock(mutex_);
  return in_use_ > max_blocks_ / 2;
}

bool LogBlocks::wait_filled(std::vector<LogBlockPtr>& batch) {
  assert(batch.empty());
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !filled_.empty() || woken_ || closed_; });
  woken_ = false;
  std::swap(batch, filled_);
  filled_.reserve(max_blocks_);
  return !closed_;
}

void LogBlocks::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_one();
}

void LogBlocks::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_one();
}

}  // namespace penstock
