#include "proxy/buffer_gate.h"

#include <chrono>

namespace penstock {

namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(5);

}  // namespace

BufferGate::BufferGate(const BufferBudget& budget, const Clock& clock, TimerWheel& timers)
    : budget_(budget),
      clock_(clock),
      look_(timers, Delegate<void()>::to<&BufferGate::look>(*this)) {}

void BufferGate::add(BufferWait& wait, Waits& waits) {
  waits.push_back(wait);
  if (!look_.armed()) look_.arm(clock_.now() + kLookEvery);
}

// Responses first: what goes out makes room.
void BufferGate::look() {
  go_on(responses_, BufferPressure::kResponsesWait);
  go_on(requests_, BufferPressure::kRequestsWait);
  if (!responses_.empty() || !requests_.empty()) look_.arm(clock_.now() + kLookEvery);
}

// Whoever has to wait again stands behind the others, for the next look.
void BufferGate::go_on(Waits& waits, BufferPressure below) {
  Waits due;
  due.splice_back(waits);
  while (!due.empty() && budget_.pressure() < below) due.pop_front()->go_on();
  due.splice_back(waits);
  waits.splice_back(due);
}

}  // namespace penstock
