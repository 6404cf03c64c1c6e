#include "server/takeover.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "net/address.h"
#include "server/takeover_channel.h"

namespace penstock {

namespace {

// For each message: the other one may be busy, but its control loop turns.
constexpr timeval kAnswerWithin{.tv_sec = 10, .tv_usec = 0};

Unexpected<std::string> impossible(const std::string& why) {
  return {"cannot take over from the process that runs: " + why};
}

std::string reason(int sys) { return std::generic_category().message(sys); }

std::string runtime_folder() {
  for (const char* name : {"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value != '/') continue;
    const std::string folders = value;
    return folders.substr(0, folders.find(':'));
  }
  return {};
}

// The same in every version of the program: FNV-1a.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

void set_limits(int socket) {
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &kAnswerWithin, sizeof kAnswerWithin);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &kAnswerWithin, sizeof kAnswerWithin);
}

bool nobody_is_there(int sys) { return sys == ENOENT || sys == ECONNREFUSED; }
bool has_left(int sys) { return sys == EPIPE || sys == ECONNRESET || sys == ENOTCONN; }

}  // namespace

std::string takeover_path(const std::string& config_path) {
  const std::string folder = runtime_folder();
  if (folder.empty()) return {};
  const std::string config =
      config_path.empty() ? "" : std::filesystem::absolute(config_path).lexically_normal().string();
  std::array<char, 48> name{};
  std::snprintf(name.data(), name.size(), "/penstock-takeover-%016llx.sock",
                static_cast<unsigned long long>(hash_of(config)));
  return folder + name.data();
}

Result<std::optional<Takeover>, std::string> Takeover::begin(const std::string& path) {
  const auto address = SocketAddress::from_unix_path(path);
  if (!address) return impossible(path + " is too long for a socket");
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return impossible(reason(errno));
  set_limits(socket.get());
  int connected = 0;
  do {  // as for messages, a stop may interrupt it
    connected = ::connect(socket.get(), address->data(), address->length());
  } while (connected != 0 && errno == EINTR);
  if (connected != 0) {
    if (nobody_is_there(errno)) return std::optional<Takeover>();
    return impossible(path + ": " + reason(errno));
  }
  const auto pid = own_peer(socket.get());
  if (!pid) {
    return impossible(path + " belongs to another user: run as the user who started it");
  }
  Takeover takeover(std::move(socket), *pid);
  const auto sent = send_message(takeover.socket_.get(), say_hello());
  if (!sent && !has_left(sent.error())) return impossible(reason(sent.error()));
  if (auto received = takeover.receive_sockets(); !received) {
    return Unexpected{std::move(received).error()};
  }
  return std::optional<Takeover>(std::move(takeover));
}

Result<void, std::string> Takeover::receive_sockets() {
  while (true) {
    auto message = receive_message(socket_.get());
    if (message ? message->text.empty() : has_left(message.error())) {
      wait_for_its_end();
      return {};
    }
    if (!message) {
      return impossible(message.error() == EAGAIN ? "it does not answer" : reason(message.error()));
    }
    const auto words = parse_takeover(message->text);
    if (!words) return impossible("it speaks another language");
    if (!words->error.empty()) return impossible(words->error);
    if (words->end) {
      manager_ = words->manager;
      return {};
    }
    keep(*words, std::move(message->descriptors));
  }
}

// A process that is killed closes one descriptor after the other: what it has not given is free
// when it has gone.
void Takeover::wait_for_its_end() const {
  // Debian 12 has it in the library without C linkage.
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!process) return;
  pollfd gone{.fd = process.get(), .events = POLLIN, .revents = 0};
  ::poll(&gone, 1, kAnswerWithin.tv_sec * 1000);
}

void Takeover::keep(const TakeoverWords& words, std::vector<UniqueFd> descriptors) {
  const std::size_t number = received_++;
  if (!words.kind || descriptors.empty()) return;  // of a later version: not for us
  handed_.push_back({{*words.kind, words.address, std::move(descriptors)}, number});
}

std::vector<HandedSockets> Takeover::take(HandedKind kind, std::string_view address) {
  std::vector<HandedSockets> taken;
  std::erase_if(handed_, [&](Handed& handed) {
    if (handed.sockets.kind != kind || handed.sockets.address != address) return false;
    kept_.push_back(handed.number);
    taken.push_back(std::move(handed.sockets));
    return true;
  });
  return taken;
}

bool Takeover::finish() {
  handed_.clear();
  if (!send_message(socket_.get(), say_ready(kept_))) return false;
  const auto answer = receive_message(socket_.get());
  if (!answer) return false;
  const auto words = parse_takeover(answer->text);
  return words && words->drains;
}

}  // namespace penstock
