#include "net/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdlib>

namespace penstock {
namespace {

// What malloc may add to what it was asked for.
constexpr std::size_t kMostSlackBytes = 64;

// Memory of one size that was given back, of no connection.
template <std::size_t kLeastBytes, std::size_t kBytes, std::size_t kMax>
class Spares {
 public:
  Spares() = default;
  Spares(const Spares&) = delete;
  Spares& operator=(const Spares&) = delete;
  ~Spares() {
    while (count_ > 0) std::free(spare_[--count_]);
  }

  static bool serves(std::size_t bytes) { return bytes > kLeastBytes && bytes <= kBytes; }
  void* take() { return count_ > 0 ? spare_[--count_] : std::malloc(kBytes); }
  bool keep(void* memory, std::size_t usable_bytes) {
    const bool fits = usable_bytes >= kBytes && usable_bytes < kBytes + kMostSlackBytes;
    if (!fits || count_ == kMax) return false;
    spare_[count_++] = memory;
    return true;
  }

 private:
  std::array<void*, kMax> spare_{};
  std::size_t count_ = 0;
};

// A record and its overhead at least; two of them, the most that a read takes in, at most.
using RecordBuffers = Spares<16 * 1024, 34 * 1024, 8>;
// What OpenSSL notes of each length that it has yet to write, four times a request.
using Notes = Spares<24, 40, 8>;

// OpenSSL frees what it keeps per thread when the thread's other objects have ended.
thread_local bool ended = false;

struct SpareMemory {
  SpareMemory() = default;
  SpareMemory(const SpareMemory&) = delete;
  SpareMemory& operator=(const SpareMemory&) = delete;
  ~SpareMemory() { ended = true; }

  RecordBuffers buffers;
  Notes notes;
};

// Null once the thread has none any more.
SpareMemory* spare_memory() {
  thread_local SpareMemory memory;
  return ended ? nullptr : &memory;
}

void* allocate(std::size_t bytes, const char*, int) {
  SpareMemory* const spare = spare_memory();
  if (spare != nullptr && Notes::serves(bytes)) return spare->notes.take();
  if (spare != nullptr && RecordBuffers::serves(bytes)) return spare->buffers.take();
  return std::malloc(bytes);
}

void* resize(void* memory, std::size_t bytes, const char*, int) {
  return std::realloc(memory, bytes);
}

void release(void* memory, const char*, int) {
  if (memory == nullptr) return;
  const std::size_t bytes = ::malloc_usable_size(memory);
  SpareMemory* const spare = spare_memory();
  const bool kept =
      spare != nullptr && (spare->notes.keep(memory, bytes) || spare->buffers.keep(memory, bytes));
  if (!kept) std::free(memory);
}

}  // namespace

bool keep_tls_memory() { return CRYPTO_set_mem_functions(allocate, resize, release) == 1; }

}  // namespace penstock
