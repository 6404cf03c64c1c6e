#include "telemetry/access_log.h"

#include <pthread.h>

#include <algorithm>
#include <cassert>
#include <csignal>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {
namespace {

constexpr std::chrono::milliseconds kStallTick{50};
constexpr int kSampleBits = 53;  // as many as a double holds exactly
static_assert(LogBlock::kBytes >= kMaxLineBytes);

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

// Signals belong to the loops; and a reader that has gone shall be EPIPE here, not SIGPIPE.
void block_all_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

bool is_file(const std::string& path) { return !path.empty() && path != "stdout"; }

}  // namespace

AccessLog::AccessLog(std::size_t max_blocks, Log* daemon_log)
    : daemon_log_(daemon_log), blocks_(max_blocks) {
  settings_.path.clear();
}

AccessLog::~AccessLog() {
  assert(writers_.load() == 0);
  stopping_.store(true, std::memory_order_relaxed);
  blocks_.close();
  if (thread_.joinable()) thread_.join();
}

Result<void, std::string> AccessLog::configure(const AccessLogSettings& wanted) {
  if (wanted.path != settings().path) {
    LogSink sink;
    if (!wanted.path.empty()) {
      auto opened = LogSink::open(wanted.path);
      if (!opened) return Unexpected{std::move(opened.error())};
      sink = std::move(*opened);
    }
    use_sink(std::move(sink));
  }
  const std::lock_guard lock(mutex_);
  settings_ = wanted;
  generation_.fetch_add(1, std::memory_order_release);
  return {};
}

Result<void, std::string> AccessLog::reopen() {
  const std::string path = settings().path;
  if (!is_file(path)) return {};
  auto opened = LogSink::open(path);
  if (!opened) return Unexpected{std::move(opened.error())};
  use_sink(std::move(*opened));
  return {};
}

void AccessLog::use_sink(LogSink sink) {
  {
    const std::lock_guard lock(mutex_);
    next_sink_ = std::move(sink);
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  blocks_.wake();
}

AccessLogSettings AccessLog::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

void AccessLog::run() {
  block_all_signals();
  std::vector<LogBlockPtr> batch;
  for (bool more = true; more;) {
    more = blocks_.wait_filled(batch);
    adopt_next_sink();
    const std::uint64_t lost_until_now = dropped_lines();
    for (LogBlockPtr& block : batch) {
      write_block(*block);
      blocks_.give_back(std::move(block));
    }
    notice_losses();
    const bool all_written = !batch.empty() && dropped_lines() == lost_until_now;
    if (losing_ && all_written && !blocks_.congested()) tell_of_their_end();
    batch.clear();
  }
}

void AccessLog::write_block(const LogBlock& block) {
  std::string_view rest = block.text();
  sink_.mend();
  while (!rest.empty()) {
    const LogSink::Outcome outcome = sink_.write(rest);
    if (outcome == LogSink::Outcome::kWritten) continue;
    if (outcome == LogSink::Outcome::kStalled && wait_for_room(rest)) continue;
    if (outcome == LogSink::Outcome::kFailed) tell_of_losses(sink_.failure());
    drop_lines(count_lines(rest));
    return;
  }
}

// False when the log is stopping and has waited long enough.
bool AccessLog::wait_for_room(std::string_view& rest) {
  sink_.wait_writable(kStallTick);
  notice_losses();
  const bool torn = !sink_.at_line_start();
  if (adopt_next_sink() && torn) {
    rest.remove_prefix(rest.find('\n') + 1);
    drop_lines(1);
  }
  if (!stopping_.load(std::memory_order_relaxed)) return true;
  stalled_while_stopping_ += kStallTick;
  return stalled_while_stopping_ <= kStopStall;
}

bool AccessLog::adopt_next_sink() {
  std::optional<LogSink> next;
  {
    const std::lock_guard lock(mutex_);
    next.swap(next_sink_);
  }
  if (!next) return false;
  sink_ = std::move(*next);
  return true;
}

// What workers drop, at any moment, since they have no free block.
void AccessLog::notice_losses() {
  if (dropped_lines() != lost_and_told_) tell_of_losses("its reader does not keep up");
}

// Once, however many follow: the counter says how many.
void AccessLog::tell_of_losses(std::string_view why) {
  if (std::exchange(losing_, true) || daemon_log_ == nullptr) return;
  daemon_log_->warning("lines of the access log are lost",
                       {{"path", settings().path}, {"why", why}});
}

void AccessLog::tell_of_their_end() {
  losing_ = false;
  const std::uint64_t all = dropped_lines();
  const std::uint64_t lost = all - std::exchange(lost_and_told_, all);
  if (daemon_log_ == nullptr) return;
  daemon_log_->info("the access log is written again", {{"path", settings().path}, {"lost", lost}});
}

AccessLogWriter::AccessLogWriter(AccessLog& log, std::uint64_t seed)
    : log_(log), random_(seed * 0x9e3779b97f4a7c15 + 1) {
  log_.writers_.fetch_add(1);
}

AccessLogWriter::~AccessLogWriter() {
  if (has_unflushed()) {
    hand_over();
  } else if (block_) {
    log_.blocks_.give_back(std::move(block_));
  }
  log_.writers_.fetch_sub(1);
}

void AccessLogWriter::write(const ExchangeRecord& record) {
  const std::uint64_t generation = log_.generation_.load(std::memory_order_acquire);
  if (generation != generation_) refresh_settings(generation);
  if (!enabled_ || !wants(record)) return;
  if (!make_room(line_bound(record))) {
    log_.drop_lines(1);
    return;
  }
  char* const start = block_->bytes + block_->size;
  block_->size += static_cast<std::size_t>(formatter_.write(start, record, style_) - start);
}

void AccessLogWriter::flush() {
  if (has_unflushed() && !log_.blocks_.congested()) hand_over();
}

bool AccessLogWriter::wants(const ExchangeRecord& record) {
  if (is_error(record) || total_time(record).value_or(Duration::zero()) >= slow_) return true;
  return !only_errors_ && sampled();
}

// SplitMix64's step: one multiplication chain, a period of 2^64, every seed good.
bool AccessLogWriter::sampled() {
  random_ += 0x9e3779b97f4a7c15;
  std::uint64_t mixed = random_;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  mixed ^= mixed >> 31;
  return (mixed >> (64 - kSampleBits)) < sample_below_;
}

void AccessLogWriter::refresh_settings(std::uint64_t generation) {
  const AccessLogSettings settings = log_.settings();
  enabled_ = !settings.path.empty();
  only_errors_ = settings.only_errors;
  slow_ = settings.slow.value_or(Duration::max());
  const double share = std::clamp(settings.sample, 0.0, 1.0);
  sample_below_ = static_cast<std::uint64_t>(share * static_cast<double>(1ULL << kSampleBits));
  style_ = {.json = settings.json, .query = settings.query};
  generation_ = generation;
}

bool AccessLogWriter::make_room(std::size_t bytes) {
  if (block_ && block_->room() < bytes) hand_over();
  if (!block_) block_ = log_.blocks_.take_empty();
  return block_ != nullptr;
}

void AccessLogWriter::hand_over() { log_.blocks_.push_filled(std::move(block_)); }

}  // namespace penstock
