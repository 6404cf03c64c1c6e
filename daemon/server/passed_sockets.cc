#include "server/passed_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace penstock {

namespace {

Unexpected<std::string> wrong(std::string why) { return {std::move(why)}; }

bool is_listening_stream(int fd) { return ::sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0; }

std::string in_words(const std::vector<std::string>& names) {
  if (names.empty()) return "systemd passed no socket at all";
  std::string text = "systemd passed ";
  for (const std::string& name : names) text += (name == names.front() ? "" : ", ") + name;
  return text;
}

}  // namespace

PassedSockets::PassedSockets() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  for (int i = 0; i < count; ++i) {
    sockets_.emplace(names[i], UniqueFd(SD_LISTEN_FDS_START + i));
    std::free(names[i]);
  }
  std::free(names);
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
