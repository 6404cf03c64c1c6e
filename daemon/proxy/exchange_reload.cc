// Another configuration while a request waits for its first connection: it is routed again, and
// keeps its age. Whose dial is under way to where the new route leads as well keeps that too. Whose
// head is not read yet is routed by what is in force when it is.

#include "proxy/exchange.h"
#include "proxy/proxy.h"

namespace penstock {

// What two waiters of one queue that may have each other's dials agree in.
struct Exchange::Place {
  std::string upstream;
  std::string host;
  std::uint16_t port = 0;
  bool tls = false;
  std::uint64_t identity = 0;
  bool operator==(const Place&) const = default;
};

Exchange::Place Exchange::place() const {
  const Destination::Choice& choice = route_.choice;
  return {route_.upstream->settings->name, std::string(choice.host), choice.port, choice.tls,
          route_.upstream->identity};
}

// Another try is part of an exchange that has begun.
std::optional<std::uint64_t> Exchange::waiting_number() const {
  if (acquire_ == nullptr || attempts_ > 0) return std::nullopt;
  return waiting_number_;
}

void Exchange::use_present_table() {
  if (table_ == proxy_.table()) return;
  table_ = proxy_.table();
  upstream_states_ = proxy_.upstream_states();
  rerouted_ = true;
}

bool Exchange::reroute() {
  const Place left = place();
  const Phase phase = acquire_phase_;
  route_.upstream = nullptr;  // of the table before
  use_present_table();
  routed_ = false;
  if (!route()) {
    settle();
    return false;
  }
  routed_ = true;
  clocks_.start(LimitKind::kTotal, clocks_.started(LimitKind::kTotal), timeouts().total);
  if (phase != Phase::kQueue && place() == left) {
    settle();
    return false;
  }
  leave_acquire_phase();
  acquire_.reset();
  return true;
}

// The limit of the queue counts from when it began to queue, whatever it is now.
void Exchange::resume() {
  const bool queued = acquire_phase_ == Phase::kQueue;
  const MonotonicTime queued_since = clocks_.started(LimitKind::kQueue);
  acquire();
  if (queued && acquire_ != nullptr && acquire_phase_ == Phase::kQueue)
    clocks_.start(LimitKind::kQueue, queued_since, timeouts().queue);
  settle();
}

}  // namespace penstock
