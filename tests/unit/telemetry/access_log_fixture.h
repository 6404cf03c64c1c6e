// What the tests of the access log share: a log file of one's own and how to wait for its lines.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support.h"
#include "telemetry/access_log.h"

namespace penstock {

using Json = nlohmann::json;

// Until the condition holds; false after ten seconds, which no working log needs.
inline bool eventually(auto condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

class AccessLogTest : public testing::Test {
 protected:
  AccessLogSettings everything() const {
    AccessLogSettings settings;
    settings.path = path_;
    settings.only_errors = false;
    return settings;
  }
  AccessLogSettings errors() const {
    AccessLogSettings settings = everything();
    settings.only_errors = true;
    return settings;
  }
  ExchangeRecord numbered(std::uint64_t id) const {
    ExchangeRecord record = answered(timeline_);
    record.id = id;
    return record;
  }
  // Everything that a log with these settings has written by its end.
  std::vector<std::string> written(const AccessLogSettings& settings, auto write) const {
    {
      AccessLog log;
      EXPECT_TRUE(log.configure(settings));
      AccessLogWriter writer(log, 1);
      write(writer);
    }
    return lines();
  }
  std::vector<std::string> lines() const { return lines_of(contents(path_)); }

  const TemporaryFolder folder_;
  const std::string path_ = folder_.file("access.log");
  const Timeline timeline_ = reused_timeline();  // 12.5 ms in all
};

inline std::uint64_t id_in(const std::string& line) {
  return std::stoull(Json::parse(line).at("id").get<std::string>(), nullptr, 16);
}

}  // namespace penstock
