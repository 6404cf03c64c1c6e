#include "base/buffer.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

namespace penstock {

namespace {

char* allocate(std::size_t bytes) {
  char* data = static_cast<char*>(std::malloc(bytes));
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

}  // namespace

BlockPool::~BlockPool() {
  assert(held_ == 0);
  report();
  for (std::size_t i = 0; i < spare_.count; ++i) std::free(spare_.blocks[i]);
  for (std::size_t i = 0; i < spare_large_.count; ++i) std::free(spare_large_.blocks[i]);
}

std::span<char> BlockPool::take_other(std::size_t min_bytes) {
  const bool large = min_bytes > kBlockBytes && min_bytes <= kLargeBlockBytes;
  const std::size_t bytes = large ? kLargeBlockBytes : std::max(min_bytes, kBlockBytes);
  char* block =
      large && spare_large_.count > 0 ? spare_large_.blocks[--spare_large_.count] : allocate(bytes);
  note(static_cast<std::ptrdiff_t>(bytes));
  return {block, bytes};
}

void BlockPool::give_back_other(std::span<char> block) {
  note(-static_cast<std::ptrdiff_t>(block.size()));
  if (block.size() == kLargeBlockBytes && spare_large_.count < spare_large_.blocks.size()) {
    spare_large_.blocks[spare_large_.count++] = block.data();
  } else {
    std::free(block.data());
  }
}

void BlockPool::report() {
  if (budget_ != nullptr) budget_->add(held_ - reported_);
  reported_ = held_;
}

std::size_t Buffer::make_room(std::size_t min_bytes) {
  min_bytes = std::min(min_bytes, room());
  if (data_ == nullptr && min_bytes > 0) {
    adopt(pool_.take(min_bytes));
    return min_bytes;
  }
  if (capacity_ - end_ >= min_bytes) return min_bytes;
  if (begin_ > 0) {
    std::memmove(data_, data_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (capacity_ - end_ < min_bytes) grow(end_ + min_bytes);
  return min_bytes;
}

void Buffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  assert(bytes.size() <= room());
  std::span<char> space = prepare(bytes.size());
  std::memcpy(space.data(), bytes.data(), bytes.size());
  commit(bytes.size());
}

void Buffer::grow(std::size_t capacity) {
  if (capacity_ >= BlockPool::kLargeBlockBytes) {
    capacity = std::max(capacity, std::size_t{narrow(2 * std::size_t{capacity_})});
  }
  const std::span<char> larger = pool_.take(capacity);
  const std::uint32_t kept = end_ - begin_;
  std::memcpy(larger.data(), data_ + begin_, kept);
  drop_storage();
  adopt(larger);
  end_ = kept;
}

void Buffer::adopt(std::span<char> block) {
  data_ = block.data();
  capacity_ = narrow(block.size());
}

void Buffer::drop_storage() {
  if (data_ != nullptr) pool_.give_back({data_, capacity_});
  data_ = nullptr;
  capacity_ = begin_ = end_ = 0;
}

}  // namespace penstock
