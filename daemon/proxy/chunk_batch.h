// Small chunks of a body on their way into one: where a chunk ends means nothing (RFC 9112 section
// 7.1), and a peer that sends a byte in each would have us, and whoever is behind us, work for
// each.
//
// It holds views into what was read, so that nothing is copied twice: write_to() comes before that
// is read over. Owner: an Exchange.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "base/buffer.h"
#include "http/head.h"

namespace penstock {

// A piece of a body as it is sent: its chunk's line, if it goes in chunks, the piece, and the
// chunk's end. `line` is where that line is written.
using ChunkLine = char[18];
using FramedPiece = std::array<std::string_view, 3>;
FramedPiece frame_piece(std::string_view piece, FramingKind kind, ChunkLine& line);

class ChunkBatch {
 public:
  // What is larger goes as a chunk of its own, from where it lies.
  static constexpr std::size_t kMaxPieceBytes = 4 * 1024;

  bool has_room_for(std::string_view piece) const {
    return count_ < pieces_.size() && bytes_ + piece.size() <= kMaxBytes;
  }
  void add(std::string_view piece);
  // As one chunk, if there is anything; empty then.
  void write_to(Buffer& out);
  void clear() { count_ = bytes_ = 0; }

 private:
  static constexpr std::size_t kMaxBytes = 16 * 1024;

  std::array<std::string_view, 64> pieces_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace penstock
