#include "base/log.h"

#include <spdlog/details/os.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <unordered_map>

#include "base/log_output.h"

namespace penstock {

namespace {

constexpr Duration kQuietTime = std::chrono::seconds(10);
constexpr std::size_t kMaxRememberedCauses = 1024;

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace:
      return spdlog::level::trace;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

// What the journal takes off the front of a line (sd-daemon(3)).
std::string_view journal_priority(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
    case spdlog::level::err:
      return "<3>";
    case spdlog::level::warn:
      return "<4>";
    case spdlog::level::info:
      return "<6>";
    default:
      return "<7>";
  }
}

// systemd.exec(5): JOURNAL_STREAM is DEVICE:INODE of what the journal reads. It stays set when the
// descriptor is then led elsewhere.
bool journal_reads(int fd) {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || ::fstat(fd, &status) != 0) return false;
  return stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

std::string_view color(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::critical:
    case spdlog::level::err:
      return "\x1b[31m";
    case spdlog::level::warn:
      return "\x1b[33m";
    case spdlog::level::info:
      return "\x1b[32m";
    default:
      return "\x1b[36m";
  }
}
constexpr std::string_view kPlain = "\x1b[m";

using Line = fmt::memory_buffer;

void append(Line& line, std::string_view text) {
  line.append(text.data(), text.data() + text.size());
}

void append_json_string(Line& line, std::string_view text) {
  line.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(c);
    } else if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(line), "\\u{:04x}", byte);
    } else {
      line.push_back(c);
    }
  }
  line.push_back('"');
}

// Text is for eyes: control characters must not reach the terminal.
void append_text_value(Line& line, std::string_view text) {
  const bool plain = !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' || byte == 0x7f || c == '"' || c == '\\' || c == '=';
  });
  if (plain) {
    append(line, text);
  } else {
    append_json_string(line, text);
  }
}

void append_value(Line& line, const LogField& field, bool json) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    json ? append_json_string(line, *text) : append_text_value(line, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(line), "{}", *number);
  } else {
    fmt::format_to(std::back_inserter(line), "{:.3f}", std::get<double>(field.value));
  }
}

void append_field(Line& line, const LogField& field, bool json) {
  if (json) {
    line.push_back(',');
    append_json_string(line, field.key);
    line.push_back(':');
  } else {
    line.push_back(' ');
    append(line, field.key);
    line.push_back('=');
  }
  append_value(line, field, json);
}

// What spdlog has formatted goes to LogOutput, with what its reader needs: colors, or a priority.
class OutputSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::uint64_t dropped_lines() const { return output_.dropped_lines(); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    line_.clear();
    if (to_journal_) append(line_, journal_priority(message.level));
    append_colored({text.data(), text.size()}, message);
    output_.write({line_.data(), line_.size()});
  }
  void flush_() override {}

  void append_colored(std::string_view text, const spdlog::details::log_msg& message) {
    if (!colored_ || message.color_range_end <= message.color_range_start) {
      append(line_, text);
      return;
    }
    const std::size_t length = message.color_range_end - message.color_range_start;
    append(line_, text.substr(0, message.color_range_start));
    append(line_, color(message.level));
    append(line_, text.substr(message.color_range_start, length));
    append(line_, kPlain);
    append(line_, text.substr(message.color_range_end));
  }

  const bool to_journal_ = journal_reads(STDERR_FILENO);
  const bool colored_ = ::isatty(STDERR_FILENO) == 1 && spdlog::details::os::is_color_terminal();
  LogOutput output_{LogSink::standard_error()};
  Line line_;
};

}  // namespace

struct Log::Impl {
  struct Cause {
    MonotonicTime written;
    std::int64_t suppressed = 0;
  };

  std::shared_ptr<OutputSink> sink = std::make_shared<OutputSink>();
  spdlog::logger logger{"penstock", sink};
  bool json = false;
  std::mutex mutex;  // of causes
  std::unordered_map<std::string, Cause> causes;

  void write(LogLevel level, std::string_view message, LogFields fields, const LogField* extra) {
    Line line;
    if (json) {
      append_json_string(line, message);
    } else {
      append(line, message);
    }
    for (const LogField& field : fields) append_field(line, field, json);
    if (extra != nullptr) append_field(line, *extra, json);
    logger.log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
  }
};

Log::Log(LogLevel level, LogFormat format) : impl_(std::make_unique<Impl>()) {
  set_level(level);
  set_format(format);
}

Log::~Log() = default;

void Log::set_level(LogLevel level) { impl_->logger.set_level(to_spdlog(level)); }

void Log::set_format(LogFormat format) {
  impl_->json =
      format == LogFormat::kJson || (format == LogFormat::kAuto && isatty(STDERR_FILENO) == 0);
  if (impl_->json) {
    impl_->logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        R"({"ts":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","message":%v})",
        spdlog::pattern_time_type::utc));
  } else {
    impl_->logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%H:%M:%S.%e %^%l%$ %v", spdlog::pattern_time_type::local));
  }
}

std::uint64_t Log::dropped_lines() const { return impl_->sink->dropped_lines(); }

bool Log::enabled(LogLevel level) const { return impl_->logger.should_log(to_spdlog(level)); }

void Log::write(LogLevel level, std::string_view message, LogFields fields) {
  if (enabled(level)) impl_->write(level, message, fields, nullptr);
}

void Log::write_limited(LogLevel level, std::string_view subject, std::string_view message,
                        MonotonicTime now, LogFields fields) {
  if (!enabled(level)) return;
  std::int64_t suppressed = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->causes.size() >= kMaxRememberedCauses) impl_->causes.clear();
    std::string key(message);
    key.append(1, '\0').append(subject);
    const auto [it, is_new] = impl_->causes.try_emplace(std::move(key), Impl::Cause{now});
    if (!is_new) {
      if (now - it->second.written < kQuietTime) {
        ++it->second.suppressed;
        return;
      }
      suppressed = it->second.suppressed;
      it->second = {now};
    }
  }
  const LogField extra("suppressed", suppressed);
  impl_->write(level, message, fields, suppressed > 0 ? &extra : nullptr);
}

}  // namespace penstock
