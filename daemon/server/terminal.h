// A terminal that a command fills and gives back as it was: the alternate screen, no cursor, no
// echo, keys one by one. ANSI sequences and termios; no library.
//
// Owner: the command, on its stack. Thread: the only one. The destructor restores everything; the
// signals that would end or resize the command are held back meanwhile and come out of wait().
#pragma once

#include <termios.h>

#include <csignal>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "net/unique_fd.h"

namespace penstock {

class Terminal {
 public:
  // Whether standard input and output are one.
  static bool there_is_one();

  Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();

  struct Size {
    std::size_t width = 80;
    std::size_t height = 24;
  };
  static Size size();

  // Replaces what is on the screen; the lines fit it.
  void draw(const std::vector<std::string>& lines);

  enum class Event { kTimeout, kDrawAgain, kLeave };
  // kDrawAgain: another size, or any other key. kLeave: q, Ctrl-C, SIGTERM, or the terminal is
  // gone.
  Event wait(std::chrono::milliseconds at_most);

 private:
  termios before_{};
  sigset_t signals_before_{};
  UniqueFd signals_;
};

}  // namespace penstock
