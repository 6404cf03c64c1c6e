// What the two processes of a takeover say to each other, as JSON.
//
//   the new one                    the one that runs
//   {"takeover": 1}          -->
//                            <--   {"kind": "listener", "address": "127.0.0.1:3128"} + descriptors
//                            <--   ... for each address, then {"end": true, ...}
//   {"ready": true, "kept": [0]} ->
//                            <--   {"drains": true}
//
// or {"error": "why"} instead of any answer. Members that are not known are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/unique_fd.h"

namespace penstock {

// The oldest and only version.
inline constexpr int kTakeoverVersion = 1;

// Whose sockets they are. A listener's address may come several times (systemd:NAME).
enum class HandedKind : std::uint8_t { kListener, kAdmin, kPublicAdmin, kTakeover };

struct HandedSockets {
  HandedKind kind = HandedKind::kListener;
  std::string address;  // as configured
  std::vector<UniqueFd> descriptors;
};

// What the service manager has agreed on with the process that runs.
struct HandedManager {
  std::string notify_socket;        // "": there is none
  std::uint64_t watchdog_usec = 0;  // 0: no watchdog
};

std::string say_hello();
std::string say_sockets(const HandedSockets& sockets);
std::string say_end(const HandedManager& manager);
// `kept`: the numbers of the messages whose sockets it has kept, in the order in which they came.
std::string say_ready(const std::vector<std::size_t>& kept);
std::string say_drains();
std::string say_error(std::string_view why);

// Whatever a message says; what it does not say is as it is here.
struct TakeoverWords {
  std::optional<std::int64_t> version;
  std::optional<HandedKind> kind;
  std::string address;
  bool end = false;
  HandedManager manager;
  bool ready = false;
  std::vector<std::size_t> kept;
  bool drains = false;
  std::string error;
};
// nullopt: it is no message of this kind at all.
std::optional<TakeoverWords> parse_takeover(std::string_view text);

}  // namespace penstock
