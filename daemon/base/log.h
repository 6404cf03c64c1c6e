// The daemon's own log: a thin face over spdlog, which only log.cc sees.
//
// Messages are a constant sentence and named values, so that one call makes a line of text on a
// terminal and an object in JSON. A cause that may repeat goes through Limit: the same cause about
// the same subject is written at most once in ten seconds, with the count of what was left out.
//
// Owner: the Daemon, one per process. Thread: any. Lines are written before the call returns, while
// whoever reads standard error keeps up; nobody waits for a reader that stalls (LogOutput).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/time.h"

namespace penstock {

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : std::uint8_t { kAuto, kText, kJson };

struct LogField {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, double> value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  template <typename Int>
  requires std::is_integral_v<Int> LogField(std::string_view k, Int v)
      : key(k), value(static_cast<std::int64_t>(v)) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
};
using LogFields = std::initializer_list<LogField>;

class Log {
 public:
  // Writes to standard error, as it is now. kAuto: text on a terminal, JSON otherwise. What goes to
  // the journal begins with its priority (sd-daemon(3)).
  explicit Log(LogLevel level = LogLevel::kInfo, LogFormat format = LogFormat::kAuto);
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  void set_level(LogLevel level);
  void set_format(LogFormat format);
  bool enabled(LogLevel level) const;
  // Since its reader stalled or could not be written to.
  std::uint64_t dropped_lines() const;

  void write(LogLevel level, std::string_view message, LogFields fields = {});
  void debug(std::string_view message, LogFields fields = {}) {
    write(LogLevel::kDebug, message, fields);
  }
  void info(std::string_view message, LogFields fields = {}) {
    write(LogLevel::kInfo, message, fields);
  }
  void warning(std::string_view message, LogFields fields = {}) {
    write(LogLevel::kWarning, message, fields);
  }
  void error(std::string_view message, LogFields fields = {}) {
    write(LogLevel::kError, message, fields);
  }

  // As write(), at most once in ten seconds per (message, subject); the next line that is written
  // carries how many were not ("suppressed"). `subject`: an upstream's or listener's name, or more.
  void write_limited(LogLevel level, std::string_view subject, std::string_view message,
                     MonotonicTime now, LogFields fields = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
