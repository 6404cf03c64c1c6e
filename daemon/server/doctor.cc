#include "server/doctor.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "net/unique_fd.h"
#include "server/daemon.h"
#include "server/doctor_report.h"

namespace penstock {
namespace {

constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalBase = 128;  // as shells do

std::string read_all(int fd) {
  std::string text;
  std::array<char, 64 * 1024> block;
  for (ssize_t got = 1; got > 0;) {
    got = ::pread(fd, block.data(), block.size(), static_cast<off_t>(text.size()));
    if (got > 0) text.append(block.data(), static_cast<std::size_t>(got));
  }
  return text;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// What the file says, but for what the command must not share with a daemon that runs already.
LoadResult as_private(LoadResult loaded, int access_log_fd) {
  auto config = std::make_shared<Config>(*loaded.config);
  config->listeners.assign(1, ListenerSettings());
  config->listeners.front().address = "127.0.0.1:0";
  config->admin.address.clear();
  config->admin.public_address.clear();
  config->log = {.level = LogLevel::kWarning, .format = LogFormat::kText};
  config->access_log = AccessLogSettings();
  config->access_log.path = "/proc/self/fd/" + std::to_string(access_log_fd);
  config->access_log.json = config->access_log.only_errors = false;
  config->shutdown.grace = std::chrono::seconds(1);
  loaded.config = std::move(config);
  return loaded;
}

// The daemon behind which the command runs.
class Instance {
 public:
  Instance()
      : access_log_(::memfd_create("access log", MFD_CLOEXEC)),
        daemon_log_(::memfd_create("daemon log", MFD_CLOEXEC)) {}
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() { stop(); }

  // False when it did not come up; daemon_log() then says why.
  bool start(LoadResult loaded);
  void stop();

  const std::string& address() const { return address_; }
  std::string access_log() const { return read_all(access_log_.get()); }
  std::string daemon_log() const { return read_all(daemon_log_.get()); }

 private:
  [[noreturn]] void serve(LoadResult loaded, pid_t parent, int address_pipe) const;

  UniqueFd access_log_;
  UniqueFd daemon_log_;
  std::string address_;
  pid_t pid_ = -1;
};

bool Instance::start(LoadResult loaded) {
  int ends[2] = {-1, -1};
  if (!access_log_ || !daemon_log_ || ::pipe2(ends, O_CLOEXEC) != 0) return false;
  const UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) return false;
  if (pid_ == 0) serve(as_private(std::move(loaded), access_log_.get()), parent, to_parent.get());
  to_parent.reset();
  std::array<char, 64> text;
  const ssize_t got = ::read(from_child.get(), text.data(), text.size());  // nothing when it failed
  if (got > 0) address_.assign(text.data(), static_cast<std::size_t>(got));
  return !address_.empty();
}

void Instance::serve(LoadResult loaded, pid_t parent, int address_pipe) const {
  ::setpgid(0, 0);  // Ctrl-C is for the command; we then want to hear of its last requests
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kExitFailure);
  // It is not the service that we may have been started in.
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS"}) ::unsetenv(name);
  ::dup2(daemon_log_.get(), STDERR_FILENO);
  ::fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
  int code = kExitFailure;
  {
    Daemon daemon("", std::move(loaded));
    code = daemon.run([address_pipe](const SocketAddress& local) {
      const std::string text = local.to_string();
      if (::write(address_pipe, text.data(), text.size()) < 0) ::_exit(kExitFailure);
    });
  }
  ::_exit(code);
}

// The access log is whole afterwards.
void Instance::stop() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGTERM);
  wait_for(pid_);
  pid_ = -1;
}

// Who gets the signals that are sent to us; 0: nobody.
std::atomic<pid_t> forward_to = 0;
static_assert(std::atomic<pid_t>::is_always_lock_free);

// The terminal tells the command as well as us, so only what somebody has sent is passed on.
void on_signal(int number, siginfo_t* info, void*) {
  const pid_t pid = forward_to;
  const int before = errno;
  if (pid > 0 && info->si_code <= 0) ::kill(pid, number);
  errno = before;
}

sigset_t set_of(std::span<const int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : signals) sigaddset(&set, number);
  return set;
}

constexpr std::array kInterrupts = {SIGINT, SIGQUIT};
constexpr std::array kForwarded = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

// What ends the command does not end us: we stop the private instance, and tell what came until
// then. From begin_forwarding() on the command hears of what is sent to us; what comes before that
// waits.
class ForwardedSignals {
 public:
  ForwardedSignals() {
    const sigset_t held = set_of(kForwarded);
    ::pthread_sigmask(SIG_BLOCK, &held, &mask_);
    for (std::size_t i = 0; i < kForwarded.size(); ++i) handle(kForwarded[i], before_[i]);
  }
  ForwardedSignals(const ForwardedSignals&) = delete;
  ForwardedSignals& operator=(const ForwardedSignals&) = delete;
  ~ForwardedSignals() {
    for (std::size_t i = 0; i < kForwarded.size(); ++i) {
      ::sigaction(kForwarded[i], &before_[i], nullptr);
    }
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }

  // Of before us, which is the command's.
  const sigset_t& mask() const { return mask_; }

  void begin_forwarding(pid_t pid) const {
    forward_to = pid;
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }

 private:
  // nohup(1) has SIGHUP ignored, by the command too.
  static void handle(int number, struct sigaction& before) {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(number, &action, &before);
    const bool interrupts = std::ranges::find(kInterrupts, number) != kInterrupts.end();
    if (before.sa_handler == SIG_IGN && !interrupts) ::sigaction(number, &before, nullptr);
  }

  sigset_t mask_{};
  std::array<struct sigaction, kForwarded.size()> before_{};
};

// Nothing is forwarded to its number once that may be another's.
int wait_for_command(pid_t pid) {
  siginfo_t ended{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  forward_to = 0;
  return wait_for(pid);
}

bool is_replaced(std::string_view variable) {
  constexpr std::array<std::string_view, 6> kNames = {
      "http_proxy=", "HTTP_PROXY=", "https_proxy=", "HTTPS_PROXY=", "all_proxy=", "ALL_PROXY="};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view name) { return variable.starts_with(name); });
}

// Ours with both spellings of http_proxy, and nothing that would send requests elsewhere.
std::vector<std::string> environment_with(const std::string& address) {
  std::vector<std::string> variables = {"http_proxy=http://" + address,
                                        "HTTP_PROXY=http://" + address};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!is_replaced(*variable)) variables.emplace_back(*variable);
  }
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// Its errno, when the command cannot be run.
int spawn(std::vector<std::string>& command, const std::string& address, const sigset_t& mask,
          pid_t& pid) {
  std::vector<std::string> environment = environment_with(address);
  const sigset_t interrupts = set_of(kInterrupts);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &interrupts);
  posix_spawnattr_setsigmask(&attributes, &mask);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawnp(&pid, command.front().c_str(), nullptr, &attributes,
                                   pointers(command).data(), pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  return error;
}

std::string no_proxy_of_environment() {
  for (const char* name : {"no_proxy", "NO_PROXY"}) {
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  }
  return {};
}

}  // namespace

int run_doctor(LoadResult loaded, std::vector<std::string> command) {
  Instance instance;
  if (!instance.start(std::move(loaded))) {
    instance.stop();
    std::cerr << "penstock doctor: the private instance did not start\n" << instance.daemon_log();
    return kExitFailure;
  }
  const ForwardedSignals signals;
  pid_t pid = -1;
  if (const int error = spawn(command, instance.address(), signals.mask(), pid); error != 0) {
    std::cerr << "penstock doctor: cannot run " << command.front() << ": "
              << std::generic_category().message(error) << '\n';
    return error == ENOENT ? kNotFound : kNotExecutable;
  }
  signals.begin_forwarding(pid);
  const int status = wait_for_command(pid);
  instance.stop();
  const bool signalled = WIFSIGNALED(status);
  const int code = signalled ? WTERMSIG(status) : WEXITSTATUS(status);
  std::cerr << doctor_report({.command = std::move(command),
                              .ending = (signalled ? "signal " : "exit ") + std::to_string(code),
                              .access_log = instance.access_log(),
                              .daemon_log = instance.daemon_log(),
                              .no_proxy = no_proxy_of_environment()});
  return signalled ? kSignalBase + code : code;
}

}  // namespace penstock
