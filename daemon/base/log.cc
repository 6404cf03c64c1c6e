#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

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

}  // namespace

struct Log::Impl {
  struct Cause {
    MonotonicTime written;
    std::int64_t suppressed = 0;
  };

  spdlog::logger logger{"penstock", std::make_shared<spdlog::sinks::stderr_color_sink_mt>()};
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
  impl_->logger.flush_on(spdlog::level::trace);
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
