#include "server/listening_sockets.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "config/addresses.h"
#include "config/listener_rules.h"
#include "http/authority.h"
#include "net/address_rules.h"
#include "net/listener.h"
#include "server/exit_code.h"
#include "server/port_owner.h"

namespace penstock {

namespace {

using List = ListeningSockets::List;

Unexpected<ListenFault> unfit(const std::string& address, const std::string& why) {
  return {{"listener " + address + ": " + why, kExitConfig}};
}

int exit_code_of(int sys) { return sys == EADDRINUSE ? kExitAddressInUse : kExitFailure; }

SocketAddress parse_address(const std::string& text) {
  // No authority has port 0, the system's choice.
  const bool any_port = text.ends_with(":0");
  Authority authority;
  if (parse_authority(any_port ? text.substr(0, text.size() - 2) : text, authority)) return {};
  const std::uint16_t port = any_port ? 0 : authority.port.value_or(0);
  return SocketAddress::from_ip(authority.host, port).value_or(SocketAddress());
}

SocketAddress bound_address(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&address), length);
}

SocketReach reach_of(const SocketAddress& local) {
  if (local.family() == AF_UNIX) return SocketReach::kUnix;
  return matches_any(*find_blocks("loopback"), local) ? SocketReach::kLoopback
                                                      : SocketReach::kNetwork;
}

std::optional<ListenFault> find_fault(const ListenerSettings& listener,
                                      const SocketAddress& local) {
  const auto misfit = find_misfit(listener, reach_of(local));
  if (!misfit) return std::nullopt;
  return unfit(listener.address, std::string(misfit->key) + ": " + misfit->what).value;
}

Result<UnixAccess> access_of(const ListenerSettings& listener) {
  const auto mode = static_cast<mode_t>(std::strtoul(listener.mode.c_str(), nullptr, 8));
  return resolve_access(mode, listener.owner);
}

void set_access(const ListeningSocket& socket, const ListenerSettings& listener, Log& log) {
  auto access = access_of(listener);
  if (access && !access->uid) access->uid = ::geteuid();
  if (access && !access->gid) access->gid = ::getegid();
  const auto set = access ? socket.file.set_access(*access) : Unexpected{access.error()};
  if (!set) log.error("a socket keeps its old mode or owner", {{"error", set.error().detail}});
}

std::vector<UniqueFd> one(UniqueFd fd) {
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(fd));
  return fds;
}

// In a reload the one in the way may be ourselves, with an address that the next file changes.
std::string who_listens(const SocketAddress& address) {
  if (is_own_port(address)) {
    return " by this process itself: restart it, or reload twice, first without any address of "
           "this port";
  }
  const std::string owner = port_owner(address);
  return (owner.empty() ? "" : " by " + owner) + "; stop that, or set another address";
}

// Listens on an address with a port, as the configuration writes it, by so many sockets.
Result<std::vector<UniqueFd>, ListenFault> open_tcp(const std::string& text, std::size_t count) {
  const SocketAddress address = parse_address(text);
  auto sockets = listen_tcp(address, count);
  if (sockets) return *std::move(sockets);
  const int sys = sockets.error().sys;
  std::string why = sockets.error().detail;
  if (sys == EADDRINUSE) why += who_listens(address);
  return Unexpected{ListenFault{std::move(why), exit_code_of(sys)}};
}

Result<List, ListenFault> open_unix(const ListenerSettings& listener) {
  const auto access = access_of(listener);
  if (!access) return unfit(listener.address, "owner: " + access.error().detail);
  auto made = listen_unix(std::string(socket_name(listener.address)), *access);
  if (!made) return Unexpected{ListenFault{made.error().detail, exit_code_of(made.error().sys)}};
  List list;
  const SocketAddress local = bound_address(made->fd.get());
  list.push_back({.address = listener.address,
                  .local = local,
                  .fds = one(std::move(made->fd)),
                  .file = std::move(made->file)});
  return list;
}

}  // namespace

Result<ListeningSocket, ListenFault> open_admin_socket(const std::string& address) {
  ListeningSocket socket{.address = address, .local = {}, .fds = {}, .file = {}};
  if (listener_kind(address) == ListenerKind::kUnix) {
    auto made = listen_unix(std::string(socket_name(address)), UnixAccess());
    if (!made) return Unexpected{ListenFault{made.error().detail, exit_code_of(made.error().sys)}};
    socket.fds = one(std::move(made->fd));
    socket.file = std::move(made->file);
  } else {
    auto fds = open_tcp(address, 1);
    if (!fds) return Unexpected{std::move(fds).error()};
    socket.fds = *std::move(fds);
  }
  socket.local = bound_address(socket.fds.front().get());
  return socket;
}

ListeningSocket inherited_socket(HandedSockets handed) {
  const SocketAddress local = bound_address(handed.descriptors.front().get());
  return {.address = std::move(handed.address),
          .local = local,
          .fds = std::move(handed.descriptors),
          .file = {}};
}

const ListenerSettings* find_listener(const Config& config, std::string_view address) {
  const auto at = std::ranges::find(config.listeners, address, &ListenerSettings::address);
  return at == config.listeners.end() ? nullptr : &*at;
}

Result<List, ListenFault> ListeningSockets::open_missing(const Config& next) const {
  for (const ListeningSocket& socket : open_) {
    const ListenerSettings* listener = find_listener(next, socket.address);
    if (listener == nullptr) continue;
    if (auto fault = find_fault(*listener, socket.local)) return Unexpected{*std::move(fault)};
    const auto access = access_of(*listener);
    if (!access) return unfit(listener->address, "owner: " + access.error().detail);
  }
  List opened;
  for (const ListenerSettings& listener : next.listeners) {
    if (is_open(listener.address)) continue;
    auto sockets = open(listener);
    if (!sockets) return sockets;
    std::move(sockets->begin(), sockets->end(), std::back_inserter(opened));
  }
  return opened;
}

Result<List, ListenFault> ListeningSockets::open(const ListenerSettings& listener) const {
  switch (listener_kind(listener.address)) {
    case ListenerKind::kUnix:
      return open_unix(listener);
    case ListenerKind::kSystemd:
      return take_passed(listener);
    case ListenerKind::kTcp:
      break;
  }
  auto fds = open_tcp(listener.address, worker_count_);
  if (!fds) return Unexpected{std::move(fds).error()};
  const SocketAddress local = bound_address(fds->front().get());
  List list;
  list.push_back({.address = listener.address, .local = local, .fds = *std::move(fds), .file = {}});
  return list;
}

Result<List, ListenFault> ListeningSockets::take_passed(const ListenerSettings& listener) const {
  auto passed = passed_.duplicate(socket_name(listener.address));
  if (!passed) return unfit(listener.address, passed.error());
  List list;
  for (UniqueFd& fd : *passed) {
    const SocketAddress local = bound_address(fd.get());
    if (auto fault = find_fault(listener, local)) return Unexpected{*std::move(fault)};
    list.push_back(
        {.address = listener.address, .local = local, .fds = one(std::move(fd)), .file = {}});
  }
  return list;
}

std::vector<std::string> ListeningSockets::adopt(List opened) {
  std::vector<std::string> lost;
  std::erase_if(open_, [&](const ListeningSocket& socket) {
    const bool again =
        std::ranges::find(opened, socket.address, &ListeningSocket::address) != opened.end();
    if (again) lost.push_back(socket.address);
    return again;
  });
  std::move(opened.begin(), opened.end(), std::back_inserter(open_));
  return lost;
}

void ListeningSockets::inherit(const Config& config, Takeover& takeover) {
  for (const ListenerSettings& listener : config.listeners) {
    if (is_passed(listener.address)) continue;
    for (HandedSockets& handed : takeover.take(HandedKind::kListener, listener.address)) {
      open_.push_back(inherited_socket(std::move(handed)));
    }
  }
}

// Those that were opened here have a file already.
void ListeningSockets::own_files(const Config& config, Log& log) {
  for (ListeningSocket& socket : open_) {
    if (listener_kind(socket.address) != ListenerKind::kUnix || socket.file) continue;
    socket.file = UnixSocketFile(std::string(socket_name(socket.address)));
    set_access(socket, *find_listener(config, socket.address), log);
  }
}

void ListeningSockets::give_away(std::string_view address) {
  std::erase_if(open_, [&](ListeningSocket& socket) {
    if (socket.address != address) return false;
    socket.file.release();
    return true;
  });
}

// A socket that is new has its access already. One whose owner is not named any more goes back to
// the daemon.
void ListeningSockets::change_access(const Config& before, const Config& after, Log& log) const {
  for (const ListeningSocket& socket : open_) {
    if (listener_kind(socket.address) != ListenerKind::kUnix) continue;
    const ListenerSettings* was = find_listener(before, socket.address);
    const ListenerSettings* is = find_listener(after, socket.address);
    if (was == nullptr || is == nullptr || (was->mode == is->mode && was->owner == is->owner)) {
      continue;
    }
    set_access(socket, *is, log);
  }
}

std::vector<std::string> ListeningSockets::remove_unnamed(const Config& config) {
  std::vector<std::string> removed;
  std::erase_if(open_, [&](const ListeningSocket& socket) {
    if (find_listener(config, socket.address) != nullptr) return false;
    removed.push_back(socket.address);
    return true;
  });
  return removed;
}

std::vector<std::string> ListeningSockets::unused_names(const Config& config) const {
  std::vector<std::string> names = passed_.names();
  std::erase_if(names, [&](const std::string& name) {
    return find_listener(config, "systemd:" + name) != nullptr;
  });
  return names;
}

bool ListeningSockets::is_passed(std::string_view address) const {
  if (listener_kind(address) != ListenerKind::kSystemd) return false;
  const std::vector<std::string> names = passed_.names();
  return std::ranges::find(names, socket_name(address)) != names.end();
}

bool ListeningSockets::is_open(std::string_view address) const {
  const auto at = std::ranges::find(open_, address, &ListeningSocket::address);
  return at != open_.end() && !at->file.is_lost();
}

}  // namespace penstock
