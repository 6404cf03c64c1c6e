// HTTP/1.1 as the simulation's clients and origins speak it: so small and so strict that it can
// judge the proxy's, with which it shares nothing.
//
// Every body is a pattern of its request's number, so that a byte of another message shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::sim {

// `count` bytes of the pattern of `id` from `offset` on.
std::string pattern(std::uint64_t id, std::uint64_t offset, std::size_t count);
bool is_pattern(std::string_view bytes, std::uint64_t id, std::uint64_t offset);

struct Head {
  std::string start;                                        // the first line
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case

  const std::string* find(std::string_view name) const;
  // 0 where there is none.
  std::uint64_t number(std::string_view name) const;
  bool has(std::string_view name, std::string_view word) const;
};
// Takes a head off the front of `bytes`; nullopt while it is not whole.
std::optional<Head> take_head(std::string& bytes);

enum class Framing : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

class BodyReader {
 public:
  BodyReader() = default;
  BodyReader(Framing framing, std::uint64_t length)
      : framing_(framing), left_(length), done_(framing == Framing::kNone) {
    if (framing == Framing::kLength && length == 0) done_ = true;
  }

  // Takes what belongs to the body off the front of `bytes`; returns its content.
  std::string take(std::string& bytes);
  bool done() const { return done_; }
  bool broken() const { return broken_; }
  std::uint64_t taken() const { return taken_; }
  Framing framing() const { return framing_; }
  void end() { done_ = true; }  // of what lasts until the close

 private:
  std::string take_up_to(std::string& bytes, std::uint64_t most);
  bool take_chunk_line(std::string& bytes);
  bool take_line_end(std::string& bytes);

  Framing framing_ = Framing::kNone;
  std::uint64_t left_ = 0;  // of the body, or of the chunk
  enum class Chunk : std::uint8_t { kLine, kData, kEnd, kTrailer } chunk_ = Chunk::kLine;
  bool done_ = true;
  bool broken_ = false;
  std::uint64_t taken_ = 0;
};

// `body` in chunks of at most `size` bytes, with the last one.
std::string chunked(std::string_view body, std::size_t size);

}  // namespace penstock::sim
