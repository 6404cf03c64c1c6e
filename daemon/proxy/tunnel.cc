#include "proxy/tunnel.h"

namespace penstock {

namespace {

// Fairness: one tunnel does not keep the loop longer than this.
constexpr std::uint64_t kMaxBytesPerTurn = 256 * 1024;

}  // namespace

Tunnel::Tunnel(const Ends& ends, const Clock& clock, TimerWheel& timers, const Limit& idle,
               Delegate<void(TunnelEnd)> on_ended)
    : clock_(clock),
      idle_(idle),
      on_ended_(on_ended),
      upwards_{ends.client, ends.upstream, ends.from_client, TunnelEnd::kClientBroke,
               TunnelEnd::kUpstreamBroke},
      downwards_{ends.upstream, ends.client, ends.from_upstream, TunnelEnd::kUpstreamBroke,
                 TunnelEnd::kClientBroke},
      client_side_(*this, upwards_, downwards_),
      upstream_side_(*this, downwards_, upwards_),
      deadline_(timers, Delegate<void()>::to<&Tunnel::on_idle>(*this)) {
  if (ends.client_ended) upwards_.state = Direction::State::kEndSeen;
}

Tunnel::~Tunnel() {
  upwards_.from.set_handler(nullptr);
  downwards_.from.set_handler(nullptr);
}

std::optional<TunnelEnd> Tunnel::start() {
  for (Direction* direction : {&upwards_, &downwards_})
    direction->from.resume_read(PauseReason::kBackpressure);
  upwards_.to.allow_stalls();
  upwards_.from.set_handler(&client_side_);
  downwards_.from.set_handler(&upstream_side_);
  touch();
  for (Direction* direction : {&upwards_, &downwards_}) {
    if (const auto end = move(*direction)) return end;
  }
  return std::nullopt;
}

void Tunnel::advance(Direction& direction) {
  if (const auto end = move(direction)) on_ended_(*end);  // may destroy |this|
}

// Sends what waits, then reads and sends until the kernel has no more, the sink takes no more, or
// it is others' turn.
std::optional<TunnelEnd> Tunnel::move(Direction& direction) {
  std::uint64_t moved_before = direction.moved;
  for (;;) {
    if (const auto broke = flush(direction)) return broke;
    if (!direction.buffer.empty()) {
      direction.from.pause_read(PauseReason::kBackpressure);
      return std::nullopt;
    }
    if (direction.state != Direction::State::kOpen) break;
    const bool turn_over =
        direction.moved - moved_before >= kMaxBytesPerTurn && !direction.from.has_pending();
    if (turn_over) break;
    const std::span<char> space = direction.buffer.prepare();
    const IoResult result = direction.from.read(space);
    if (result.status == IoStatus::kWouldBlock) break;
    if (result.status == IoStatus::kError) return direction.source_broke;
    if (result.status == IoStatus::kEof) {
      direction.state = Direction::State::kEndSeen;
      direction.from.pause_read(PauseReason::kEndSeen);
      continue;
    }
    direction.buffer.commit(result.bytes);
    touch();
    if (result.bytes < space.size() && !direction.from.has_pending()) {
      if (const auto broke = flush(direction)) return broke;
      if (direction.buffer.empty()) break;
    }
  }
  direction.from.resume_read(PauseReason::kBackpressure);
  direction.buffer.release_if_empty();
  if (direction.state == Direction::State::kEndSeen) end_direction(direction);
  const bool both_ended =
      upwards_.state == Direction::State::kShut && downwards_.state == Direction::State::kShut;
  return both_ended ? std::optional(TunnelEnd::kDone) : std::nullopt;
}

std::optional<TunnelEnd> Tunnel::flush(Direction& direction) {
  while (!direction.buffer.empty()) {
    const IoResult result = direction.to.write(direction.buffer.readable());
    if (result.status == IoStatus::kWouldBlock) break;
    if (result.status != IoStatus::kOk) return direction.sink_broke;
    direction.buffer.consume(result.bytes);
    direction.moved += result.bytes;
    touch();
    if (!direction.buffer.empty()) break;  // taken short: on_writable() follows
  }
  return std::nullopt;
}

void Tunnel::end_direction(Direction& direction) {
  direction.to.shutdown_write();
  direction.state = Direction::State::kShut;
}

void Tunnel::on_idle() { on_ended_(TunnelEnd::kIdle); }

void Tunnel::touch() {
  if (idle_) deadline_.arm(clock_.now() + *idle_);
}

}  // namespace penstock
