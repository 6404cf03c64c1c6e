#include "server/passed_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ranges>
#include <system_error>
#include <utility>

#include "server/manager_variables.h"

namespace penstock {

namespace {

constexpr int kFirst = 3;
constexpr std::string_view kNameless = "unknown";

std::string take_variable(const char* name) {
  std::string text(variable(name));
  ::unsetenv(name);
  return text;
}

std::vector<std::string> split(std::string_view names) {
  std::vector<std::string> all;
  for (const auto name : std::views::split(names, ':')) all.emplace_back(name.begin(), name.end());
  return all;
}

Unexpected<std::string> wrong(std::string why) { return {std::move(why)}; }

int option_of(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool is_listening_stream(int fd) {
  return option_of(fd, SO_TYPE) == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) == 1;
}

std::string in_words(const std::vector<std::string>& names) {
  if (names.empty()) return "systemd passed no socket at all";
  std::string text = "systemd passed ";
  for (const std::string& name : names) text += (name == names.front() ? "" : ", ") + name;
  return text;
}

}  // namespace

PassedSockets::PassedSockets() {
  const bool for_us = number_in<pid_t>(take_variable("LISTEN_PID")) == ::getpid();
  const int count = number_in<int>(take_variable("LISTEN_FDS")).value_or(0);
  const std::vector<std::string> names = split(take_variable("LISTEN_FDNAMES"));
  if (!for_us) return;
  for (std::size_t i = 0; std::cmp_less(i, count); ++i) {
    const int fd = kFirst + static_cast<int>(i);
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return;  // it is not open, nor are those behind it
    sockets_.emplace(i < names.size() ? names[i] : kNameless, UniqueFd(fd));
  }
}

Result<std::vector<UniqueFd>, std::string> PassedSockets::duplicate(std::string_view name) const {
  const auto [begin, end] = sockets_.equal_range(name);
  if (begin == end) {
    return wrong("no socket named " + std::string(name) + " was passed (" + in_words(names()) +
                 "): see FileDescriptorName= of the .socket unit");
  }
  std::vector<UniqueFd> duplicates;
  for (auto it = begin; it != end; ++it) {
    if (!is_listening_stream(it->second.get())) {
      return wrong("the socket named " + std::string(name) +
                   " does not listen for streams (ListenStream= with Accept=no does)");
    }
    UniqueFd duplicate(::fcntl(it->second.get(), F_DUPFD_CLOEXEC, 0));
    if (!duplicate) return wrong(std::generic_category().message(errno));
    duplicates.push_back(std::move(duplicate));
  }
  return duplicates;
}

std::vector<std::string> PassedSockets::names() const {
  std::vector<std::string> names;
  for (const auto& [name, fd] : sockets_) {
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  return names;
}

}  // namespace penstock
