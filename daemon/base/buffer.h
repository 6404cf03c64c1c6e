// Bytes on their way from a read to a write, contiguous, bounded.
//
// A Buffer grows from one pooled block up to its bound and never past it: a full buffer is the
// sign to stop reading from the other side. It gives its storage back with release_if_empty(), so
// that an idle connection holds none. No bound is above 4 GiB less a byte: with smaller numbers the
// two of an idle client take 64 bytes instead of 96.
//
// Owner: a session or an exchange. Thread: its worker's. It ends with its owner.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/buffer_budget.h"

namespace penstock {

// Recycled blocks of two sizes, so that the steady state allocates nothing; what is larger comes
// from malloc. One per worker, it outlives every Buffer that draws from it. It tells the budget,
// where there is one, what its buffers hold; spare blocks do not count.
class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 16 * 1024 + 512;  // a full TLS record and a head
  static constexpr std::size_t kLargeBlockBytes = 82 * 1024;   // five, and heads

  explicit BlockPool(BufferBudget* budget = nullptr) : budget_(budget) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  // At least so many bytes, of the smallest size that has them.
  std::span<char> take(std::size_t min_bytes) {
    if (min_bytes > kBlockBytes || spare_.count == 0) return take_other(min_bytes);
    note(kBlockBytes);
    return {spare_.blocks[--spare_.count], kBlockBytes};
  }
  void give_back(std::span<char> block) {
    if (block.size() != kBlockBytes || spare_.count == spare_.blocks.size()) {
      give_back_other(block);
      return;
    }
    note(-static_cast<std::ptrdiff_t>(kBlockBytes));
    spare_.blocks[spare_.count++] = block.data();
  }

 private:
  template <std::size_t kMax>
  struct Spare {
    std::array<char*, kMax> blocks;
    std::size_t count = 0;
  };

  std::span<char> take_other(std::size_t min_bytes);
  void give_back_other(std::span<char> block);
  void note(std::ptrdiff_t bytes) {
    constexpr auto kReportBytes = static_cast<std::ptrdiff_t>(BufferBudget::kReportBytes);
    held_ += bytes;
    const std::ptrdiff_t unreported = held_ - reported_;
    if (unreported >= kReportBytes || unreported <= -kReportBytes) report();
  }
  void report();

  BufferBudget* const budget_;  // borrowed: outlives us
  Spare<256> spare_;
  Spare<16> spare_large_;
  std::ptrdiff_t held_ = 0;
  std::ptrdiff_t reported_ = 0;
};

class Buffer {
 public:
  static constexpr std::size_t kDefaultMaxBytes = 64 * 1024;

  explicit Buffer(BlockPool& pool, std::size_t max_bytes = kDefaultMaxBytes)
      : pool_(pool), max_bytes_(narrow(max_bytes)) {}
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
  std::span<char> prepare(std::size_t min_bytes = 1) {
    const bool fits = min_bytes <= room() && min_bytes <= capacity_ - end_;
    if (!fits) min_bytes = make_room(min_bytes);
    if (min_bytes == 0) return {};
    return {data_ + end_, std::min<std::size_t>(capacity_ - end_, room())};
  }
  void commit(std::size_t bytes) { end_ += static_cast<std::uint32_t>(bytes); }
  // Drops bytes from the front.
  void consume(std::size_t bytes) {
    assert(bytes <= size());
    begin_ += static_cast<std::uint32_t>(bytes);
    if (begin_ == end_) begin_ = end_ = 0;
  }

  // Copies bytes in. What does not fit under the bound is the caller's bug (asserted): ask room().
  void append(std::string_view bytes);

  void clear() { begin_ = end_ = 0; }
  // Gives the storage back to the pool when nothing is in it.
  void release_if_empty() {
    if (empty() && data_ != nullptr) drop_storage();
  }
  std::size_t max_bytes() const { return max_bytes_; }
  void set_max_bytes(std::size_t max_bytes) { max_bytes_ = narrow(max_bytes); }

 private:
  static std::uint32_t narrow(std::size_t bytes) {
    return static_cast<std::uint32_t>(std::min<std::size_t>(bytes, UINT32_MAX));
  }
  // For as many of these bytes as the bound leaves; says how many.
  std::size_t make_room(std::size_t min_bytes);
  void grow(std::size_t capacity);
  void adopt(std::span<char> block);
  void drop_storage();

  BlockPool& pool_;
  char* data_ = nullptr;
  std::uint32_t max_bytes_;
  std::uint32_t capacity_ = 0;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
};

}  // namespace penstock
