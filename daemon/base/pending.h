// The handle of an operation that was started and has not ended.
//
// Its destructor cancels: after that no callback comes. The callback never comes before the start
// has returned, and exactly once unless cancelled; by the time it runs the operation is over, and
// the holder may drop the handle inside it.
#pragma once

#include <memory>

namespace penstock {

class PendingOperation {
 public:
  PendingOperation() = default;
  PendingOperation(const PendingOperation&) = delete;
  PendingOperation& operator=(const PendingOperation&) = delete;
  virtual ~PendingOperation() = default;  // cancels
};

using Pending = std::unique_ptr<PendingOperation>;

}  // namespace penstock
