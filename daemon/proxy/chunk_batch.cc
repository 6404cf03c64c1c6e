#include "proxy/chunk_batch.h"

#include <cassert>
#include <span>

#include "http/writer.h"

namespace penstock {

FramedPiece frame_piece(std::string_view piece, FramingKind kind, ChunkLine& line) {
  if (kind != FramingKind::kChunked) return {std::string_view(), piece, std::string_view()};
  return {format_chunk_line(piece.size(), line), piece, kChunkEnd};
}

void ChunkBatch::add(std::string_view piece) {
  assert(has_room_for(piece));
  pieces_[count_++] = piece;
  bytes_ += piece.size();
}

void ChunkBatch::write_to(Buffer& out) {
  if (count_ == 0) return;
  ChunkLine line;
  out.append(format_chunk_line(bytes_, line));
  for (const std::string_view piece : std::span(pieces_).first(count_)) out.append(piece);
  out.append(kChunkEnd);
  clear();
}

}  // namespace penstock
