#include "server/port_owner.h"

#include <netinet/in.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

namespace penstock {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCommandBytes = 100;
constexpr std::string_view kListening = "0A";  // as /proc/net/tcp writes the state

struct Socket {
  std::string inode;
  std::string uid;
};

// As /proc/net/tcp writes an address: each 32-bit word as a number of this machine.
std::string kernel_text(const SocketAddress& address) {
  char text[33] = "";
  if (address.family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address.data());
    std::snprintf(text, sizeof text, "%08X", v4->sin_addr.s_addr);
  } else if (address.family() == AF_INET6) {
    const std::uint32_t* words =
        reinterpret_cast<const sockaddr_in6*>(address.data())->sin6_addr.s6_addr32;
    std::snprintf(text, sizeof text, "%08X%08X%08X%08X", words[0], words[1], words[2], words[3]);
  }
  return text;
}

bool is_wildcard(std::string_view ip) {
  return ip.find_first_not_of('0') == std::string_view::npos;
}

// Two sockets are in each other's way at one address, or when one of them takes all.
bool in_the_way(std::string_view theirs, std::string_view ours) {
  return theirs == ours || is_wildcard(theirs) || is_wildcard(ours);
}

std::optional<Socket> find_listening(const char* table, const SocketAddress& address) {
  const std::string ip = kernel_text(address);
  char port[6];
  std::snprintf(port, sizeof port, "%04X", address.port());
  std::ifstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string slot, local, remote, state, queues, timer, retransmits, timeout;
    Socket socket;
    words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> socket.uid >>
        timeout >> socket.inode;
    const std::size_t colon = local.find(':');
    if (state != kListening || colon == std::string::npos || local.substr(colon + 1) != port)
      continue;
    if (in_the_way(std::string_view(local).substr(0, colon), ip)) return socket;
  }
  return std::nullopt;
}

bool holds(const fs::path& process, const std::string& inode) {
  const std::string wanted = "socket:[" + inode + ']';
  std::error_code hidden;
  for (fs::directory_iterator at(process / "fd", hidden), end; !hidden && at != end;
       at.increment(hidden)) {
    std::error_code gone;
    if (fs::read_symlink(at->path(), gone) == wanted) return true;
  }
  return false;
}

std::string command_of(const fs::path& process) {
  std::ifstream file(process / "cmdline");
  std::string text(std::istreambuf_iterator<char>(file), {});
  while (!text.empty() && text.back() == '\0') text.pop_back();
  if (text.size() > kMaxCommandBytes) text = text.substr(0, kMaxCommandBytes) + "...";
  std::replace(text.begin(), text.end(), '\0', ' ');
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

bool is_process(const fs::path& folder) {
  const std::string name = folder.filename();
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0; });
}

std::optional<Socket> find_listening(const SocketAddress& address) {
  auto socket =
      find_listening(address.family() == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", address);
  // A [::] that takes IPv4 too is in the other table.
  if (!socket && address.family() == AF_INET) socket = find_listening("/proc/net/tcp6", address);
  return socket;
}

}  // namespace

bool is_own_port(const SocketAddress& address) {
  const auto socket = find_listening(address);
  return socket && holds("/proc/self", socket->inode);
}

std::string port_owner(const SocketAddress& address) {
  const auto socket = find_listening(address);
  if (!socket) return {};
  std::error_code unreadable;
  for (fs::directory_iterator at("/proc", unreadable), end; !unreadable && at != end;
       at.increment(unreadable)) {
    if (!is_process(at->path()) || !holds(at->path(), socket->inode)) continue;
    return "pid " + at->path().filename().string() + " (" + command_of(at->path()) + ')';
  }
  return "a process of uid " + socket->uid;
}

}  // namespace penstock
