#include "server/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

namespace penstock {

namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kBeginUpdate = "\x1b[?2026h";  // shown at once, where that is known
constexpr std::string_view kEndUpdate = "\x1b[?2026l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";
constexpr char kControlC = '\x03';

// Nothing is to be done when the terminal has gone: wait() notices it.
void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Keys wait in the buffer; false when the terminal is gone.
bool read_keys(bool& leave) {
  std::array<char, 64> keys;
  const ssize_t got = ::read(STDIN_FILENO, keys.data(), keys.size());
  if (got <= 0) return got < 0 && errno == EINTR;
  for (const char key : std::string_view(keys.data(), static_cast<std::size_t>(got)))
    leave = leave || key == 'q' || key == 'Q' || key == kControlC;
  return true;
}

}  // namespace

bool Terminal::there_is_one() {
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
}

Terminal::Terminal() {
  sigset_t held;
  sigemptyset(&held);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&held, signal);
  ::sigprocmask(SIG_BLOCK, &held, &signals_before_);
  signals_.reset(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  ::tcgetattr(STDIN_FILENO, &before_);
  termios keys = before_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  keys.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped command would leave the screen behind
  ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
  write_all(kEnter);
}

Terminal::~Terminal() {
  write_all(kLeave);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  signals_.reset();
  ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
}

Terminal::Size Terminal::size() {
  winsize window{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {};
  return {window.ws_col, window.ws_row};
}

// What was there is cleared before a line: behind one that ends in the last column, the cursor
// still stands on its last character.
void Terminal::draw(const std::vector<std::string>& lines) {
  std::string screen(kBeginUpdate);
  screen += kHome;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) screen += '\n';
    screen += i + 1 < lines.size() ? kClearLine : kClearBelow;
    screen += lines[i];
  }
  write_all(screen.append(kEndUpdate));
}

Terminal::Event Terminal::wait(std::chrono::milliseconds at_most) {
  std::array<pollfd, 2> watched{{{STDIN_FILENO, POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
  const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(at_most.count()));
  if (ready == 0) return Event::kTimeout;
  if (watched[1].revents != 0) {
    signalfd_siginfo came{};
    const bool read = ::read(signals_.get(), &came, sizeof came) == sizeof came;
    return read && came.ssi_signo == SIGWINCH ? Event::kDrawAgain : Event::kLeave;
  }
  bool leave = false;
  return read_keys(leave) && !leave ? Event::kDrawAgain : Event::kLeave;
}

}  // namespace penstock
