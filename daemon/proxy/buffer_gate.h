// Who has stopped reading on one worker because the process's buffers are nearly full, and goes on
// when they are not. The bytes are freed on any thread, so the gate looks every few milliseconds,
// as long as somebody waits.
//
// Owner: the Proxy. Thread: its worker's. Ends when nobody waits.
#pragma once

#include "base/buffer_budget.h"
#include "base/delegate.h"
#include "base/intrusive_list.h"
#include "event/clock.h"
#include "event/timer_wheel.h"

namespace penstock {

// One who may wait; ending it, or cancel(), ends the wait.
class BufferWait : public ListNode<> {
 public:
  explicit BufferWait(Delegate<void()> go_on) : go_on_(go_on) {}
  ~BufferWait() { cancel(); }
  bool waits() const { return is_linked(); }
  void cancel() { unlink(); }
  void go_on() { go_on_(); }

 private:
  const Delegate<void()> go_on_;
};

class BufferGate {
 public:
  BufferGate(const BufferBudget& budget, const Clock& clock, TimerWheel& timers);

  bool holds_requests() const { return budget_.pressure() >= BufferPressure::kRequestsWait; }
  bool refuses_requests() const { return budget_.pressure() >= BufferPressure::kRequestsRefused; }
  bool holds_responses() const { return budget_.pressure() >= BufferPressure::kResponsesWait; }

  // Calls back, once, when bodies of requests, or of responses, may be read again.
  void wait_with_request(BufferWait& wait) { add(wait, requests_); }
  void wait_with_response(BufferWait& wait) { add(wait, responses_); }

 private:
  using Waits = IntrusiveList<BufferWait>;

  void add(BufferWait& wait, Waits& waits);
  void look();
  void go_on(Waits& waits, BufferPressure below);

  const BufferBudget& budget_;  // borrowed, as the clock: outlive us
  const Clock& clock_;
  Waits requests_, responses_;
  Deadline look_;
};

}  // namespace penstock
