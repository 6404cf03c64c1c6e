// Bytes sent over a stream, and read back from it, in pieces of every size.
#pragma once

#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "net/stream.h"

namespace penstock {

inline std::string random_bytes(std::size_t size, unsigned seed) {
  std::minstd_rand random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

// Sends in pieces of random number and size, what was left over cut up anew each time, and reads in
// buffers of random size what comes back.
class RandomTraffic final : public StreamHandler {
 public:
  RandomTraffic(Stream& stream, std::string bytes, unsigned seed)
      : stream_(stream), bytes_(std::move(bytes)), random_(seed) {}

  bool done() const { return failed_ || received_.size() == bytes_.size(); }
  bool intact() const { return received_ == bytes_; }
  const std::string& received() const { return received_; }
  int short_writes() const { return short_writes_; }
  void on_writable() override { write(); }
  void write() {
    while (sent_ < bytes_.size()) {
      const auto pieces = next_pieces();
      std::size_t offered = 0;
      for (const auto piece : pieces) offered += piece.size();
      const IoResult result = stream_.write(pieces);
      failed_ |= result.status == IoStatus::kError;
      sent_ += result.bytes;
      must_offer_ = offered - result.bytes;
      if (result.bytes == offered) continue;
      ++short_writes_;
      return;
    }
  }

  void on_readable() override {
    std::array<char, 40000> buffer;
    for (;;) {
      const std::size_t size = 1 + random_() % buffer.size();
      const IoResult result = stream_.read({buffer.data(), size});
      failed_ |= result.status == IoStatus::kError || result.status == IoStatus::kEof;
      if (result.status != IoStatus::kOk) return;
      received_.append(buffer.data(), result.bytes);
      if (!result.more) return;
    }
  }

 private:
  // Up to five pieces, some empty, that hold at least what was left over.
  std::vector<std::string_view> next_pieces() {
    std::vector<std::string_view> pieces;
    std::size_t at = sent_;
    for (int i = 0; i < 5 || at - sent_ < must_offer_; ++i) {
      const std::size_t size =
          random_() % 4 == 0 ? 0 : random_() % (random_() % 2 == 0 ? 200 : 30000);
      pieces.push_back(std::string_view(bytes_).substr(at, size));
      at += pieces.back().size();
      if (at == bytes_.size()) break;
    }
    if (at == sent_) pieces.push_back(std::string_view(bytes_).substr(at, 1));
    return pieces;
  }

  Stream& stream_;
  const std::string bytes_;
  std::minstd_rand random_;
  std::string received_;
  std::size_t sent_ = 0;
  std::size_t must_offer_ = 0;
  int short_writes_ = 0;
  bool failed_ = false;
};

}  // namespace penstock
