// How another process goes on in the daemon's place, and how the daemon does so in another's.
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "net/listener.h"
#include "server/daemon.h"
#include "server/takeover_channel.h"

namespace penstock {

namespace {

using Open = Worker::OpenListener;

// What the workers accept from, as what there is to hand over: the sockets of one address together.
class Gathering {
 public:
  Gathering(std::size_t workers, std::function<void(std::vector<HandedSockets>)> done)
      : missing_(workers), done_(std::move(done)) {}

  void add(std::vector<Open> open) {
    for (Open& each : open) place_of(each).push_back(std::move(each.fd));
    if (--missing_ == 0) done_(std::move(sockets_));
  }

 private:
  std::vector<UniqueFd>& place_of(const Open& open) {
    for (std::size_t i = 0; i < locals_.size(); ++i) {
      const bool full = sockets_[i].descriptors.size() == kMostDescriptors;
      if (sockets_[i].address == open.address && locals_[i] == open.local && !full) {
        return sockets_[i].descriptors;
      }
    }
    locals_.push_back(open.local);
    sockets_.push_back({HandedKind::kListener, open.address, {}});
    return sockets_.back().descriptors;
  }

  std::size_t missing_;
  std::function<void(std::vector<HandedSockets>)> done_;
  std::vector<HandedSockets> sockets_;
  std::vector<SocketAddress> locals_;  // of each of them
};

}  // namespace

// The new one

int Daemon::take_over() {
  if (!takeover_options_.begin) return kExitOk;
  auto begun = Takeover::begin(takeover_options_.path);
  if (!begun) {
    log_.error(begun.error());
    return kExitFailure;
  }
  takeover_ = *std::move(begun);
  if (!takeover_) log_.info("nobody runs to take over from: starting");
  return kExitOk;
}

void Daemon::end_takeover() {
  if (takeover_options_.path.empty()) return;
  UniqueFd fd;
  if (takeover_) {
    auto given = takeover_->take(HandedKind::kTakeover, {});
    if (!given.empty()) fd = std::move(given.front().descriptors.front());
    if (!takeover_->finish()) {
      log_.warning("the process that ran has not said that it drains; it may have ended");
    }
    sockets_.own_files(*loaded_.config, log_);
    const AdminSettings& admin = loaded_.config->admin;
    if (admin_ != nullptr) admin_->own_file(admin.address);
    if (public_admin_ != nullptr) public_admin_->own_file(admin.public_address);
    service_manager_.adopt(takeover_->manager());
    takeover_.reset();
  }
  open_takeover_server(std::move(fd));
}

// Without it everything works but the next takeover.
void Daemon::open_takeover_server(UniqueFd fd) {
  UnixListening listening;
  if (fd) {
    // Again: whoever connects is told that it is us (SO_PEERCRED).
    ::listen(fd.get(), kListenBacklog);
    listening.fd = std::move(fd);
    listening.file = UnixSocketFile(takeover_options_.path);
  } else {
    auto made = listen_for_takeovers(takeover_options_.path);
    if (!made) {
      log_.warning("nobody will be able to take over from this process",
                   {{"error", made.error().detail}});
      return;
    }
    listening = *std::move(made);
  }
  takeover_server_ = std::make_unique<TakeoverServer>(
      loop_, log_, std::move(listening.fd), std::move(listening.file),
      TakeoverServer::Hooks{
          .objection = [this] { return objection_to_takeover(); },
          .collect = [this](auto done) { collect_sockets(std::move(done)); },
          .manager = [this] { return service_manager_.handed(); },
          .on_taken = [this](pid_t successor,
                             const auto& kept) { on_taken_over(successor, kept); }});
}

// The one that runs

std::string Daemon::objection_to_takeover() const {
  return state_ == State::kServing ? "" : "it is stopping: start once it has ended";
}

// A unix socket whose file is lost is drained here; the next one makes another.
void Daemon::collect_sockets(std::function<void(std::vector<HandedSockets>)> done) {
  auto with_admin = [this, done = std::move(done)](std::vector<HandedSockets> sockets) {
    std::erase_if(sockets, [this](const auto& each) { return !sockets_.is_open(each.address); });
    add_admin_sockets(sockets);
    done(std::move(sockets));
  };
  const auto gathering = std::make_shared<Gathering>(workers_.size(), std::move(with_admin));
  for (const auto& worker : workers_) {
    worker->duplicate_listeners(
        [gathering](std::vector<Open> open) { gathering->add(std::move(open)); });
  }
}

void Daemon::add_admin_sockets(std::vector<HandedSockets>& sockets) const {
  const AdminSettings& settings = started_with_->admin;  // takes a restart to change
  const auto add = [&](const std::unique_ptr<AdminServer>& server, HandedKind kind,
                       const std::string& address) {
    if (server == nullptr || server->is_lost()) return;
    sockets.push_back({kind, address, {}});
    sockets.back().descriptors.push_back(server->duplicate_listener());
  };
  add(admin_, HandedKind::kAdmin, settings.address);
  add(public_admin_, HandedKind::kPublicAdmin, settings.public_address);
}

void Daemon::on_taken_over(pid_t successor, const std::vector<HandedSockets>& kept) {
  log_.info("another process serves in our place", {{"pid", successor}});
  service_manager_.hand_over(successor);
  let_go(kept);
  drain(std::nullopt);
}

void Daemon::let_go(const std::vector<HandedSockets>& sockets) {
  for (const HandedSockets& each : sockets) {
    switch (each.kind) {
      case HandedKind::kListener:
        sockets_.give_away(each.address);
        for (const auto& worker : workers_) worker->release_listener(each.address);
        break;
      case HandedKind::kAdmin:
        admin_->stop_accepting();
        break;
      case HandedKind::kPublicAdmin:
        public_admin_->stop_accepting();
        break;
      case HandedKind::kTakeover:
        break;  // its server has let go of it
    }
  }
}

}  // namespace penstock
