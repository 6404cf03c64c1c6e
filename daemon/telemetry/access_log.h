// The access log: which exchanges are written, and how their lines reach a file without ever
// holding up a worker.
//
// Each worker has an AccessLogWriter, which decides, formats and fills a block of its own: no lock,
// no system call and no allocation per line. Full blocks, and on flush() begun ones, go to one
// thread that writes them. The number of blocks is bounded: while a reader stalls, lines that find
// no room are dropped and counted.
//
// AccessLog. Owner: the Daemon. Thread: configure() and reopen() on the control thread,
// dropped_lines() on any; it owns the writing thread. Ends after all its writers (asserted): its
// destructor writes what is left, but waits for a stalled reader no longer than kStopStall in all.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/log_sink.h"
#include "base/result.h"
#include "config/settings.h"
#include "telemetry/exchange_record.h"
#include "telemetry/line_format.h"
#include "telemetry/log_block.h"

namespace penstock {

class AccessLog {
 public:
  static constexpr std::size_t kDefaultMaxBlocks = 64;  // 4 MiB
  static constexpr std::chrono::milliseconds kStopStall{1000};

  // Off until configured. `daemon_log` is told when lines begin to be lost, and when that is over.
  explicit AccessLog(std::size_t max_blocks = kDefaultMaxBlocks, Log* daemon_log = nullptr);
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;
  ~AccessLog();

  // Takes new settings; every writer sees them at its next line. A file that cannot be opened is
  // the error, and then nothing has changed. What is not written yet goes to the new place; when
  // that is off, it is dropped and counted.
  Result<void, std::string> configure(const AccessLogSettings& settings);
  // Opens the file anew under its name, for log rotation; on an error the old one stays in use.
  Result<void, std::string> reopen();

  // Lines that were lost: no free block, or an error in writing.
  std::uint64_t dropped_lines() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  friend class AccessLogWriter;

  void use_sink(LogSink sink);
  void drop_lines(std::uint64_t lines) { dropped_.fetch_add(lines, std::memory_order_relaxed); }
  AccessLogSettings settings() const;

  // The writing thread.
  void run();
  void write_block(const LogBlock& block);
  bool wait_for_room(std::string_view& rest);
  bool adopt_next_sink();
  void notice_losses();
  void tell_of_losses(std::string_view why);
  void tell_of_their_end();

  Log* const daemon_log_;
  LogBlocks blocks_;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> generation_{0};  // of settings_
  std::atomic<bool> stopping_{false};
  std::atomic<int> writers_{0};

  mutable std::mutex mutex_;  // guards settings_ and next_sink_
  AccessLogSettings settings_;
  std::optional<LogSink> next_sink_;

  // Of the writing thread alone.
  LogSink sink_;
  std::chrono::milliseconds stalled_while_stopping_{0};
  bool losing_ = false;
  std::uint64_t lost_and_told_ = 0;  // lines, when that was over the last time

  std::thread thread_;
};

// A worker's end of the access log.
//
// Owner: the Worker. Thread: its own. The destructor hands over what is left.
class AccessLogWriter {
 public:
  // A line waits no longer than this when its worker calls flush() as it should.
  static constexpr std::chrono::milliseconds kFlushAfter{200};

  // `seed` chooses which lines a sample takes; each worker has its own.
  AccessLogWriter(AccessLog& log, std::uint64_t seed);
  AccessLogWriter(const AccessLogWriter&) = delete;
  AccessLogWriter& operator=(const AccessLogWriter&) = delete;
  ~AccessLogWriter();

  // Writes the exchange's line when the settings want it.
  void write(const ExchangeRecord& record);

  // Lines are waiting in the block that is being filled: call flush() within kFlushAfter. While the
  // writing thread lags flush() leaves them there, so ask again after it.
  bool has_unflushed() const { return block_ && block_->size != 0; }
  void flush();

 private:
  bool wants(const ExchangeRecord& record);
  bool sampled();
  void refresh_settings(std::uint64_t generation);
  bool make_room(std::size_t bytes);
  void hand_over();

  AccessLog& log_;
  LogBlockPtr block_;
  LineFormatter formatter_;
  std::uint64_t random_;

  // Copied from the log's settings of `generation_`.
  std::uint64_t generation_ = 0;
  bool enabled_ = false;
  bool only_errors_ = true;
  Duration slow_ = Duration::max();
  std::uint64_t sample_below_ = 0;  // of 2^53
  LineStyle style_;
};

}  // namespace penstock
