#include "server/takeover_server.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "server/takeover_channel.h"

namespace penstock {

namespace {

constexpr Duration kHelloWithin = std::chrono::seconds(5);
constexpr Duration kReadyWithin = std::chrono::seconds(60);

UniqueFd duplicate(const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

}  // namespace

Result<UnixListening> listen_for_takeovers(const std::string& path) {
  return listen_unix(path, UnixAccess{.mode = 0600, .uid = {}, .gid = {}}, SOCK_SEQPACKET);
}

TakeoverServer::TakeoverServer(Loop& loop, Log& log, UniqueFd listening, UnixSocketFile file,
                               Hooks hooks)
    : loop_(loop),
      log_(log),
      hooks_(std::move(hooks)),
      listening_(duplicate(listening)),
      file_(std::move(file)),
      listener_(loop, listening.release(),
                Listener::OnAccepted::to<&TakeoverServer::on_accepted>(*this)),
      silent_(loop.timers(), Delegate<void()>::to<&TakeoverServer::on_silent>(*this)) {}

void TakeoverServer::on_accepted(int fd, const SocketAddress&) {
  UniqueFd peer(fd);
  const auto pid = own_peer(peer.get());
  if (!pid) {
    log_.write_limited(LogLevel::kWarning, "takeover",
                       "another user's process asked for the listening sockets", loop_.now());
    return;
  }
  listener_.pause();  // others have their turn when this one has failed, or with the successor
  peer_ = std::move(peer);
  pid_ = *pid;
  asked_ = false;
  ++asker_;
  silent_.arm(loop_.now() + kHelloWithin);
  watcher_.emplace(loop_, peer_.get(), Watcher::Callback::to<&TakeoverServer::on_readable>(*this));
  watcher_->set_interest(true, false);
}

void TakeoverServer::on_readable(Readiness) {
  const auto message = receive_message(peer_.get());
  if (!message && message.error() == EAGAIN) return;
  if (message && !message->text.empty()) return on_message(message->text);
  if (pending()) {
    log_.warning("the process that was taking over has ended: everything goes on here",
                 {{"successor", pid_}});
  }
  close();
}

void TakeoverServer::on_message(const std::string& text) {
  asked_ ? on_ready(text) : on_hello(text);
}

void TakeoverServer::on_hello(const std::string& text) {
  const auto words = parse_takeover(text);
  if (!words || !words->version) return refuse("this is no takeover");
  if (*words->version != kTakeoverVersion) return refuse("it does not know this version of them");
  if (std::string why = hooks_.objection(); !why.empty()) return refuse(why);
  asked_ = true;
  silent_.arm(loop_.now() + kReadyWithin);
  log_.info("a process is taking over", {{"successor", pid_}});
  hooks_.collect([this, asker = asker_](std::vector<HandedSockets> sockets) {
    on_collected(asker, std::move(sockets));
  });
}

void TakeoverServer::on_collected(std::uint64_t asker, std::vector<HandedSockets> sockets) {
  if (!peer_ || asker != asker_) return;
  handed_ = std::move(sockets);
  handed_.push_back({HandedKind::kTakeover, {}, {}});
  handed_.back().descriptors.push_back(duplicate(listening_));
  if (const auto sent = send_all(); !sent) {
    refuse("the sockets cannot be sent: " + std::generic_category().message(sent.error()));
  }
}

Result<void, int> TakeoverServer::send_all() {
  for (HandedSockets& sockets : handed_) {
    if (auto sent = send_message(peer_.get(), say_sockets(sockets), sockets.descriptors); !sent) {
      return sent;
    }
    sockets.descriptors.clear();  // they are on their way
  }
  return send_message(peer_.get(), say_end(hooks_.manager()));
}

void TakeoverServer::on_ready(const std::string& text) {
  const auto words = parse_takeover(text);
  if (handed_.empty() || !words || !words->ready)
    return refuse("this is no answer to what was sent");
  std::vector<HandedSockets> kept;
  for (const std::size_t number : words->kept) {
    if (number >= handed_.size()) continue;
    const HandedSockets& sockets = handed_[number];
    if (sockets.kind == HandedKind::kTakeover) file_.release();
    kept.push_back({sockets.kind, sockets.address, {}});
  }
  handed_.clear();
  listener_.release();
  listening_.reset();
  hooks_.on_taken(pid_, kept);
  static_cast<void>(send_message(peer_.get(), say_drains()));
  close();
}

std::vector<HandedSockets> TakeoverServer::give_up() {
  std::vector<HandedSockets> given = std::exchange(handed_, {});
  listener_.release();
  listening_.reset();
  if (given.empty()) {
    refuse("it is stopping: start once it has ended");
  } else {
    file_.release();
    close();
  }
  return given;
}

void TakeoverServer::refuse(const std::string& why) {
  log_.write_limited(LogLevel::kWarning, "takeover", "a takeover was refused", loop_.now(),
                     {{"successor", pid_}, {"why", why}});
  static_cast<void>(send_message(peer_.get(), say_error(why)));
  close();
}

void TakeoverServer::on_silent() { refuse("nothing was said for too long"); }

void TakeoverServer::close() {
  silent_.cancel();
  watcher_.reset();
  peer_.reset();
  asked_ = false;
  handed_.clear();
  listener_.resume();
}

}  // namespace penstock
