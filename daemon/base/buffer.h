// Bytes on their way from a read to a write, contiguous, bounded.
//
// A Buffer grows from one pooled block up to its bound and never past it: a full buffer is the
// sign to stop reading from the other side. It gives its storage back with release_if_empty(), so
// that an idle connection holds none.
//
// Owner: a session or an exchange. Thread: its worker's. It ends with its owner.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace penstock {

// Recycled blocks of one size, so that the steady state allocates nothing. One per worker, it
// outlives every Buffer that draws from it.
class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 16 * 1024 + 512;  // a full TLS record and a head

  explicit BlockPool(std::size_t max_kept = 256) : max_kept_(max_kept) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  char* take();
  void give_back(char* block);

 private:
  const std::size_t max_kept_;
  std::vector<char*> kept_;
};

class Buffer {
 public:
  static constexpr std::size_t kDefaultMaxBytes = 64 * 1024;

  explicit Buffer(BlockPool& pool, std::size_t max_bytes = kDefaultMaxBytes)
      : pool_(pool), max_bytes_(max_bytes) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { drop_storage(); }

  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  // How many more bytes may be put in before the bound.
  std::size_t room() const { return size() < max_bytes_ ? max_bytes_ - size() : 0; }
  bool full() const { return room() == 0; }
  std::string_view readable() const { return {data_ + begin_, end_ - begin_}; }

  // Room for at least `min_bytes` (at most room()) in one piece; what is written there is added by
  // commit(). Empty when the buffer is full. Invalidates readable().
  std::span<char> prepare(std::size_t min_bytes = 1);
  void commit(std::size_t bytes) { end_ += bytes; }
  // Drops bytes from the front.
  void consume(std::size_t bytes);

  // Copies bytes in. What does not fit under the bound is the caller's bug (asserted): ask room().
  void append(std::string_view bytes);

  void clear() { begin_ = end_ = 0; }
  // Gives the storage back to the pool when nothing is in it.
  void release_if_empty();
  std::size_t max_bytes() const { return max_bytes_; }
  void set_max_bytes(std::size_t max_bytes) { max_bytes_ = max_bytes; }

 private:
  void grow(std::size_t capacity);
  void drop_storage();

  BlockPool& pool_;
  std::size_t max_bytes_;
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace penstock
