// A pipe whose reader reads only when told to, and a way to make it standard error.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace penstock {

class StalledPipe {
 public:
  StalledPipe() {
    EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::fcntl(ends_[0], F_SETFL, O_NONBLOCK), 0);
  }
  StalledPipe(const StalledPipe&) = delete;
  StalledPipe& operator=(const StalledPipe&) = delete;
  ~StalledPipe() {
    ::close(ends_[1]);
    stop_reading();
  }

  int writing_end() const { return ends_[1]; }
  void stop_reading() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    ends_[0] = -1;
  }
  // Appends what is there to `text`.
  void read_into(std::string& text) {
    std::array<char, 64 * 1024> block;
    const ssize_t size = ::read(ends_[0], block.data(), block.size());
    if (size > 0) text.append(block.data(), static_cast<std::size_t>(size));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

class StandardErrorTo {
 public:
  explicit StandardErrorTo(int fd) : before_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) {
    ::dup2(fd, STDERR_FILENO);
  }
  StandardErrorTo(const StandardErrorTo&) = delete;
  StandardErrorTo& operator=(const StandardErrorTo&) = delete;
  ~StandardErrorTo() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
  }

 private:
  const int before_;
};

}  // namespace penstock
