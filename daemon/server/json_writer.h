// The text of an admin page in JSON.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "telemetry/escape.h"

namespace penstock {

// Just what the admin pages need of JSON: members in order, the comma where one belongs.
class JsonWriter {
 public:
  void open(char bracket) {
    separate();
    text_ += bracket;
  }
  void close(char bracket) { text_ += bracket; }
  void key(std::string_view name) {
    separate();
    quote(name);
    text_ += ':';
  }
  void string(std::string_view value) {
    separate();
    quote(value);
  }
  void literal(std::string_view value) {
    separate();
    text_ += value;
  }
  template <typename Int>
  void number(Int value) {
    literal(std::to_string(value));
  }
  std::string take() { return std::move(text_); }

 private:
  void separate() {
    if (text_.empty()) return;
    const char last = text_.back();
    if (last != '{' && last != '[' && last != ':') text_ += ',';
  }
  void quote(std::string_view value) {
    const std::size_t begin = text_.size();
    text_.resize(begin + value.size() * kMaxEscapedBytes + 2);
    text_[begin] = '"';
    char* end = write_json_escaped(text_.data() + begin + 1, value);
    *end++ = '"';
    text_.resize(static_cast<std::size_t>(end - text_.data()));
  }

  std::string text_;
};

// "api.example:443", "[::1]:443": how the admin pages name a host.
std::string origin_text(std::string_view host, std::uint16_t port);

std::string rfc3339(WallTime now);  // "2024-05-01T12:00:00.000001Z"

}  // namespace penstock
