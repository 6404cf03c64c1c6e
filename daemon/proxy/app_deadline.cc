#include "proxy/app_deadline.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "config/values.h"

namespace penstock {

namespace {

constexpr std::int64_t kMostDigits = 99'999'999;

std::optional<Duration> unit_of(char letter) {
  switch (letter) {
    case 'H':
      return std::chrono::hours(1);
    case 'M':
      return std::chrono::minutes(1);
    case 'S':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::milliseconds(1);
    case 'u':
      return std::chrono::microseconds(1);
    case 'n':
      return std::chrono::nanoseconds(1);
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<std::optional<Duration>, std::string> read_deadline(const FieldList& fields,
                                                           std::string_view name) {
  std::optional<Duration> deadline;
  if (name.empty()) return deadline;
  for (const Field& field : fields) {
    if (field.id != FieldId::kOther || !equals_ignoring_case(field.name, name)) continue;
    if (deadline) return Unexpected{std::string(name) + " is there twice"};
    auto parsed = parse_duration(field.value);
    if (!parsed) return Unexpected{std::string(name) + ": " + parsed.error() + " (1ms to 24h)"};
    deadline = *parsed;
  }
  return deadline;
}

std::optional<Duration> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto unit = unit_of(text.back());
  std::uint32_t count = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [at, fault] = std::from_chars(text.data(), end, count);
  if (!unit || fault != std::errc() || at != end) return std::nullopt;
  // 99,999,999 hours are more nanoseconds than there is room for.
  return std::min(std::chrono::duration<double>(*unit) * count,
                  std::chrono::duration<double>(kLongestDuration)) == kLongestDuration
             ? kLongestDuration
             : *unit * count;
}

std::string format_grpc_timeout(Duration left) {
  using namespace std::chrono;
  const auto ms = std::max<std::int64_t>(duration_cast<milliseconds>(left).count(), 1);
  if (ms <= kMostDigits) return std::to_string(ms) + 'm';
  return std::to_string(std::min<std::int64_t>(ms / 1000, kMostDigits)) + 'S';
}

}  // namespace penstock
