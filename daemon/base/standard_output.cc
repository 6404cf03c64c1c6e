#include "base/standard_output.h"

#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <string_view>

namespace penstock {

StandardOutput::StandardOutput() : before_(std::cout.rdbuf(this)) {}

StandardOutput::~StandardOutput() {
  sync();
  std::cout.rdbuf(before_);
}

int StandardOutput::finish() {
  sync();
  return errno_;
}

StandardOutput::int_type StandardOutput::overflow(int_type byte) {
  if (!traits_type::eq_int_type(byte, traits_type::eof())) {
    pending_ += traits_type::to_char_type(byte);
  }
  return traits_type::not_eof(byte);
}

std::streamsize StandardOutput::xsputn(const char* bytes, std::streamsize count) {
  pending_.append(bytes, static_cast<std::size_t>(count));
  return count;
}

int StandardOutput::sync() {
  std::string_view rest = pending_;
  while (!rest.empty() && errno_ == 0) {
    const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written >= 0) rest.remove_prefix(static_cast<std::size_t>(written));
    if (written < 0 && errno != EINTR) errno_ = errno;
  }
  pending_.clear();
  return errno_ == 0 ? 0 : -1;
}

}  // namespace penstock
