#include "server/json_writer.h"

#include <chrono>
#include <cstdio>
#include <ctime>

namespace penstock {

std::string origin_text(std::string_view host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string_view::npos;
  std::string text = is_v6 ? "[" : "";
  text.append(host).append(is_v6 ? "]:" : ":");
  return text + std::to_string(port);
}

std::string rfc3339(WallTime now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  const std::time_t time = second.time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  char micros[16];
  std::snprintf(micros, sizeof micros, ".%06ldZ", static_cast<long>((now - second).count()));
  return std::string(text, length) + micros;
}

}  // namespace penstock
