#include "config/listener_rules.h"

#include <algorithm>

#include "config/addresses.h"
#include "config/values.h"

namespace penstock {
namespace {

bool has_file_keys(const ListenerSettings& listener) {
  return listener.mode != ListenerSettings().mode || !listener.owner.empty();
}

std::string_view file_key(const ListenerSettings& listener) {
  return listener.owner.empty() ? "mode" : "owner";
}

std::optional<Misfit> misfit_of_unix(const ListenerSettings& listener) {
  if (listener.allow_clients.empty()) return std::nullopt;
  return Misfit{
      "allow_clients",
      "clients of a unix socket have no address (mode, owner and allow_uids say who may)"};
}

std::optional<Misfit> misfit_of_tcp(const ListenerSettings& listener) {
  if (has_file_keys(listener)) {
    return Misfit{file_key(listener), "is for unix sockets, which alone are files"};
  }
  if (listener.allow_uids.empty()) return std::nullopt;
  return Misfit{"allow_uids",
                "is for unix sockets, where the kernel knows the user (allow_clients takes "
                "addresses)"};
}

// Of a systemd: socket no more is known before it is there.
std::optional<Misfit> misfit_of_passed(const ListenerSettings& listener) {
  if (!has_file_keys(listener)) return std::nullopt;
  return Misfit{file_key(listener),
                "is systemd's to set (SocketMode=, SocketUser= and SocketGroup= of the unit)"};
}

std::optional<Misfit> misfit_in_file(const ListenerSettings& listener) {
  switch (listener_kind(listener.address)) {
    case ListenerKind::kUnix:
      return find_misfit(listener, SocketReach::kUnix);
    case ListenerKind::kSystemd:
      return misfit_of_passed(listener);
    case ListenerKind::kTcp:
      break;
  }
  return find_misfit(listener, is_loopback_address(listener.address) ? SocketReach::kLoopback
                                                                     : SocketReach::kNetwork);
}

bool allows_loopback(const EgressSettings& egress) {
  return std::ranges::any_of(egress.allow,
                             [](const auto& rule) { return rule == "loopback" || rule == "any"; });
}

bool has_catch_all(const Config& config) {
  return std::ranges::any_of(config.upstreams, [](const UpstreamSettings& upstream) {
    return std::ranges::find(upstream.hosts, "*") != upstream.hosts.end();
  });
}

bool is_open_network(const ListenerSettings& listener) {
  return listener_kind(listener.address) == ListenerKind::kTcp &&
         !is_loopback_address(listener.address) && listener.upstream.empty() &&
         listener.upstreams.empty();
}

// Others than the daemon's own user are let in by allow_uids and kept out by the file.
bool keeps_out_whom_it_allows(const ListenerSettings& listener) {
  const std::string_view mode = listener.mode;
  const bool own_only = mode.size() == 4 && mode.ends_with("00") && listener.owner.empty();
  return listener_kind(listener.address) == ListenerKind::kUnix && !listener.allow_uids.empty() &&
         own_only;
}

}  // namespace

std::optional<Misfit> find_misfit(const ListenerSettings& listener, SocketReach reach) {
  if (reach == SocketReach::kUnix) return misfit_of_unix(listener);
  auto misfit = misfit_of_tcp(listener);
  if (misfit || reach == SocketReach::kLoopback || !listener.allow_clients.empty()) return misfit;
  return Misfit{"address",
                in_quotes(listener.address) +
                    " is not loopback: every machine that reaches it could use this proxy "
                    "(allow_clients must say which may: private, any, addresses or CIDRs)"};
}

// A socket that systemd passes may have clients named only if it is of TCP, and must if it is of a
// network.
bool serves_network(const ListenerSettings& listener) {
  switch (listener_kind(listener.address)) {
    case ListenerKind::kUnix:
      return false;
    case ListenerKind::kSystemd:
      return !listener.allow_clients.empty();
    case ListenerKind::kTcp:
      break;
  }
  return !is_loopback_address(listener.address);
}

bool leads_to(const ListenerSettings& listener, std::string_view upstream) {
  if (!listener.upstream.empty()) return listener.upstream == upstream;
  return listener.upstreams.empty() ||
         std::ranges::find(listener.upstreams, upstream) != listener.upstreams.end();
}

std::vector<Fault> find_listener_faults(const Config& config, const SourceMap& sources) {
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const auto misfit = misfit_in_file(config.listeners[i]);
    const std::string clients = listener_path(i, "allow_clients");
    // A list that was written, all of whose items were refused, is not missing.
    const bool written = sources.faulty(clients) || sources.has(clients + "[0]");
    const bool known =
        !sources.faulty(listener_path(i)) && !sources.faulty(listener_path(i, "address"));
    if (!misfit || !known || (misfit->key == "address" && written)) continue;
    const std::string path = listener_path(i, misfit->key);
    faults.push_back({sources.at(path), path, misfit->what});
  }
  return faults;
}

std::vector<Fault> find_listener_risks(const Config& config, const SourceMap& sources) {
  std::vector<Fault> risks;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const ListenerSettings& listener = config.listeners[i];
    const auto risk = [&](std::string_view key, std::string what) {
      const std::string path = listener_path(i, key);
      risks.push_back({sources.at(path), path, std::move(what)});
    };
    if (keeps_out_whom_it_allows(listener)) {
      risk("allow_uids",
           "mode 0600 keeps out everybody but the daemon's own user (write mode: \"0666\" beside "
           "it, or an owner)");
    }
    if (is_open_network(listener) && has_catch_all(config) && allows_loopback(config.egress)) {
      risk("address",
           "its clients reach this machine's loopback services too, since egress.allow names them "
           "(a listener's upstreams, or addresses in egress.allow, narrow it)");
    }
  }
  return risks;
}

}  // namespace penstock
