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
  for (char* block : kept_) std::free(block);
}

char* BlockPool::take() {
  if (kept_.empty()) return allocate(kBlockBytes);
  char* block = kept_.back();
  kept_.pop_back();
  return block;
}

void BlockPool::give_back(char* block) {
  if (kept_.size() < max_kept_) {
    kept_.push_back(block);
  } else {
    std::free(block);
  }
}

std::span<char> Buffer::prepare(std::size_t min_bytes) {
  min_bytes = std::min(min_bytes, room());
  if (min_bytes == 0) return {};
  if (capacity_ - end_ < min_bytes && begin_ > 0) {
    std::memmove(data_, data_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (capacity_ - end_ < min_bytes) grow(end_ + min_bytes);
  return {data_ + end_, std::min(capacity_ - end_, room())};
}

void Buffer::consume(std::size_t bytes) {
  assert(bytes <= size());
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

void Buffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  assert(bytes.size() <= room());
  std::span<char> space = prepare(bytes.size());
  std::memcpy(space.data(), bytes.data(), bytes.size());
  commit(bytes.size());
}

void Buffer::release_if_empty() {
  if (empty()) drop_storage();
}

void Buffer::grow(std::size_t capacity) {
  if (data_ == nullptr && capacity <= BlockPool::kBlockBytes) {
    data_ = pool_.take();
    capacity_ = BlockPool::kBlockBytes;
    return;
  }
  capacity = std::max({capacity, 2 * capacity_, BlockPool::kBlockBytes + 1});
  char* larger = allocate(capacity);
  if (data_ != nullptr) std::memcpy(larger, data_ + begin_, size());
  const std::size_t kept = size();
  drop_storage();
  data_ = larger;
  capacity_ = capacity;
  end_ = kept;
}

void Buffer::drop_storage() {
  if (capacity_ == BlockPool::kBlockBytes) {
    pool_.give_back(data_);
  } else {
    std::free(data_);
  }
  data_ = nullptr;
  capacity_ = begin_ = end_ = 0;
}

}  // namespace penstock
