// Who may use a listener depends on what stands behind its address: a file, this machine, or a
// network. These rules say which keys fit which, and what must be written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/fault.h"
#include "config/settings.h"

namespace penstock {

// What a listening socket really is; of a systemd: one that is known only once it is had.
enum class SocketReach : std::uint8_t { kLoopback, kNetwork, kUnix };

struct Misfit {
  std::string_view key;  // of the listener
  std::string what;
};

// The first key that does not fit, or is missing.
std::optional<Misfit> find_misfit(const ListenerSettings& listener, SocketReach reach);

// Whether others than programs of this machine may reach the socket, as far as the file says.
bool serves_network(const ListenerSettings& listener);
// Whether its requests may be for this upstream.
bool leads_to(const ListenerSettings& listener, std::string_view upstream);

std::vector<Fault> find_listener_faults(const Config& config, const SourceMap& sources);
std::vector<Fault> find_listener_risks(const Config& config, const SourceMap& sources);

}  // namespace penstock
