#include "base/log_output.h"

#include <pthread.h>

#include <algorithm>
#include <csignal>
#include <utility>

namespace penstock {
namespace {

constexpr std::chrono::milliseconds kStallTick{50};

// Signals belong to the loops.
void block_all_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

LogOutput::LogOutput(LogSink sink, std::size_t max_backlog_bytes)
    : max_backlog_bytes_(max_backlog_bytes), sink_(std::move(sink)) {}

LogOutput::~LogOutput() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void LogOutput::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (backlog_.empty()) {
    sink_.mend();
    write_now(line);
    if (line.empty()) return;
    backlog_ = line;  // however long it is: a line that was begun is ended
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    changed_.notify_one();
  } else if (backlog_.size() + line.size() <= max_backlog_bytes_) {
    backlog_ += line;
  } else {
    drop_lines(line);
  }
}

// Leaves what waits for room; what cannot be written is dropped.
void LogOutput::write_now(std::string_view& bytes) {
  while (!bytes.empty()) {
    const LogSink::Outcome outcome = sink_.write(bytes);
    if (outcome == LogSink::Outcome::kStalled) return;
    if (outcome == LogSink::Outcome::kFailed) drop_lines(std::exchange(bytes, {}));
  }
}

void LogOutput::drop_lines(std::string_view bytes) {
  const auto lines = std::count(bytes.begin(), bytes.end(), '\n');
  dropped_.fetch_add(static_cast<std::uint64_t>(lines), std::memory_order_relaxed);
}

void LogOutput::write_backlog() {
  std::string_view rest = backlog_;
  write_now(rest);
  backlog_.erase(0, backlog_.size() - rest.size());
}

void LogOutput::run() {
  block_all_signals();
  auto patience = kStopStall;
  std::unique_lock lock(mutex_);
  while (!(stopping_ && (backlog_.empty() || patience <= std::chrono::milliseconds::zero()))) {
    if (backlog_.empty()) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    sink_.wait_writable(kStallTick);
    lock.lock();
    const std::size_t before = backlog_.size();
    write_backlog();
    if (stopping_ && backlog_.size() == before) patience -= kStallTick;
  }
  drop_lines(backlog_);
}

}  // namespace penstock
