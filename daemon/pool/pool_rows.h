// What /connections and /waiting show: one row per connection or dial, and per waiting request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"

namespace penstock {

struct ConnectionRow {
  std::uint64_t id = 0;
  std::string upstream;
  std::string host;
  std::uint16_t port = 0;
  std::string address;  // empty while it is dialled
  std::size_t worker = 0;
  std::string_view state;  // a word of /pools
  Duration age{};
  Duration in_state{};
  std::uint64_t requests = 0;
  bool resumed = false;
};
using ConnectionRows = std::vector<ConnectionRow>;

struct WaitingRow {
  std::string upstream;
  std::string host;
  std::uint16_t port = 0;
  std::size_t worker = 0;
  Duration waiting{};
  Phase phase = Phase::kQueue;  // of the dial that was begun for it
};
using WaitingRows = std::vector<WaitingRow>;

}  // namespace penstock
