// How many bytes the buffers of the process hold, and how many they should.
//
// Each BlockPool tells it in large steps, so it is known to within kReportBytes for each of them.
// It refuses nothing itself: whoever is about to take bytes in asks how tight it is.
//
// Owner: the process. Thread: any. Outlives the pools.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace penstock {

// Each level includes those before it. What goes out has the last eighth for itself, so that it
// makes room whatever waits to come in.
enum class BufferPressure : std::uint8_t {
  kNone,
  kRequestsWait,     // from three quarters of the limit: bodies of requests are not read
  kRequestsRefused,  // from seven eighths: new requests are not served
  kResponsesWait,    // from the limit itself: bodies of responses are not read
};

class BufferBudget {
 public:
  static constexpr std::ptrdiff_t kReportBytes = 256 * 1024;

  void set_limit(std::uint64_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void add(std::ptrdiff_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const {
    const std::int64_t used = used_.load(std::memory_order_relaxed);
    return used > 0 ? static_cast<std::uint64_t>(used) : 0;
  }

  BufferPressure pressure() const {
    const std::uint64_t limit = this->limit();
    const std::uint64_t eighth = limit / 8;
    const std::uint64_t used = this->used();
    if (used < limit - 2 * eighth) return BufferPressure::kNone;
    if (used < limit - eighth) return BufferPressure::kRequestsWait;
    return used < limit ? BufferPressure::kRequestsRefused : BufferPressure::kResponsesWait;
  }

 private:
  std::atomic<std::uint64_t> limit_{UINT64_MAX};
  std::atomic<std::int64_t> used_{0};
};

}  // namespace penstock
