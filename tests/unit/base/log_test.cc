// Log lines as they reach standard error, in both formats, with hostile values.
#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

#include "stalled_pipe.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

std::string captured(LogFormat format, const std::function<void(Log&)>& write,
                     LogLevel level = LogLevel::kInfo) {
  CaptureStderr();
  {
    Log log(level, format);
    write(log);
  }
  return GetCapturedStderr();
}

// The line from its message on.
std::string after_time(const std::string& line, const std::string& from) {
  const std::size_t at = line.find(from);
  return at == std::string::npos ? "no \"" + from + "\" in " + line : line.substr(at);
}

TEST(Log, WritesAnObjectInJson) {
  const std::string line = captured(LogFormat::kJson, [](Log& log) {
    log.warning("it happened", {{"name", "api"}, {"count", 3}, {"ratio", 0.5}});
  });
  EXPECT_EQ(after_time(line, "\"level\""),
            "\"level\":\"warning\",\"message\":\"it happened\","
            "\"name\":\"api\",\"count\":3,\"ratio\":0.500}\n");
  EXPECT_EQ(line.rfind("{\"ts\":\"20", 0), 0u) << line;
}

TEST(Log, EscapesWhatWouldBreakJson) {
  const std::string line = captured(LogFormat::kJson, [](Log& log) {
    log.info("say \"hi\"", {{"path", "a\\b\n\x1b[31m\x7f{}%v"}});
  });
  EXPECT_EQ(after_time(line, "\"message\""),
            "\"message\":\"say \\\"hi\\\"\",\"path\":\"a\\\\b\\u000a\\u001b[31m\\u007f{}%v\"}\n");
}

TEST(Log, WritesNamedValuesInText) {
  const std::string line = captured(LogFormat::kText, [](Log& log) {
    log.error("it failed", {{"name", "api"}, {"reason", "no such host"}, {"empty", ""}});
  });
  EXPECT_EQ(after_time(line, "error"),
            "error it failed name=api reason=\"no such host\" empty=\"\"\n");
}

TEST(Log, LetsNoControlCharacterReachTheTerminal) {
  const std::string line = captured(LogFormat::kText, [](Log& log) {
    log.info("x",
             {{"a", "\x1b[2J"}, {"b", "\x01"}, {"c", "tab\there"}, {"d", "\x7f"}, {"e", "\x08"}});
  });
  for (const char c : line.substr(0, line.size() - 1)) {
    EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << static_cast<int>(c);
  }
}

TEST(Log, WritesOnlyFromItsLevelOn) {
  const auto all = [](Log& log) {
    log.debug("d");
    log.info("i");
    log.warning("w");
    log.error("e");
  };
  const auto lines = [&](LogLevel level) {
    const std::string text = captured(LogFormat::kText, all, level);
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines(LogLevel::kDebug), 4);
  EXPECT_EQ(lines(LogLevel::kInfo), 3);
  EXPECT_EQ(lines(LogLevel::kWarning), 2);
  EXPECT_EQ(lines(LogLevel::kError), 1);
  EXPECT_EQ(lines(LogLevel::kOff), 0);
}

TEST(Log, ChoosesJsonWhenNobodyWatches) {
  const std::string line = captured(LogFormat::kAuto, [](Log& log) { log.info("x"); });
  EXPECT_EQ(line.rfind("{", 0), 0u);
}

// A pipe of ours as standard error, named in JOURNAL_STREAM or not, and what one line of a level
// begins with.
std::string beginning_of(LogLevel level, bool named) {
  StalledPipe pipe;
  struct stat status {};
  EXPECT_EQ(fstat(pipe.writing_end(), &status), 0);
  const std::string stream = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  setenv("JOURNAL_STREAM", named ? stream.c_str() : "8:12345", 1);
  {
    const StandardErrorTo there(pipe.writing_end());
    Log(LogLevel::kTrace, LogFormat::kJson).write(level, "x");
  }
  unsetenv("JOURNAL_STREAM");
  std::string text;
  pipe.read_into(text);
  return text.substr(0, text.find('{') + 1);
}

TEST(Log, TellsTheJournalHowSeriousALineIs) {
  EXPECT_EQ(beginning_of(LogLevel::kDebug, true), "<7>{");
  EXPECT_EQ(beginning_of(LogLevel::kInfo, true), "<6>{");
  EXPECT_EQ(beginning_of(LogLevel::kWarning, true), "<4>{");
  EXPECT_EQ(beginning_of(LogLevel::kError, true), "<3>{");
}

TEST(Log, TellsNobodyElse) { EXPECT_EQ(beginning_of(LogLevel::kError, false), "{"); }

// What a terminal of this kind gets of a line in text.
std::string on_terminal(const char* kind) {
  const int screen = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  EXPECT_TRUE(screen >= 0 && grantpt(screen) == 0 && unlockpt(screen) == 0);
  const int terminal = open(ptsname(screen), O_RDWR | O_NOCTTY);
  const char* const before = getenv("TERM");
  const std::string kept = before == nullptr ? "" : before;
  setenv("TERM", kind, 1);
  {
    const StandardErrorTo there(terminal);
    Log(LogLevel::kInfo, LogFormat::kAuto).warning("watch out");
  }
  before == nullptr ? unsetenv("TERM") : setenv("TERM", kept.c_str(), 1);
  char bytes[256];
  const ssize_t size = read(screen, bytes, sizeof bytes);
  close(terminal);
  close(screen);
  return {bytes, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

TEST(Log, ColorsTheLevelOnATerminal) {
  EXPECT_EQ(after_time(on_terminal("xterm"), "\x1b"), "\x1b[33mwarning\x1b[m watch out\r\n");
}

TEST(Log, CountsItsLostLines) {
  StalledPipe pipe;
  const StandardErrorTo there(pipe.writing_end());
  Log log(LogLevel::kInfo, LogFormat::kJson);
  EXPECT_EQ(log.dropped_lines(), 0u);
  while (log.dropped_lines() < 10) log.info("a line that nobody reads");
}

TEST(Log, WritesACauseOnceInTenSecondsAndCountsTheRest) {
  const MonotonicTime start(1h);
  const std::string text = captured(LogFormat::kText, [&](Log& log) {
    for (const Duration at : {Duration(0s), Duration(1s), Duration(9999ms), Duration(10s)}) {
      log.write_limited(LogLevel::kInfo, "api", "refused", start + at, {{"at", at / 1ms}});
    }
    log.write_limited(LogLevel::kInfo, "other", "refused", start, {});
    log.write_limited(LogLevel::kInfo, "api", "reset", start, {});
    log.write_limited(LogLevel::kInfo, "api", "refused", start + 30s, {{"at", 30000}});
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << text;
  EXPECT_NE(text.find("refused at=0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("refused at=10000 suppressed=2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("refused at=30000\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace penstock
