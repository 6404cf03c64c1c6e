#include "proxy/tunnel.h"

#include <cerrno>
#include <utility>

namespace penstock {

namespace {

// Fairness: one tunnel does not keep the loop longer than this.
constexpr std::uint64_t kMaxBytesPerTurn = 256 * 1024;
// From here on two more system calls cost less than two copies.
constexpr std::size_t kMuch = 8 * 1024;

// What a system call filter, a sandbox or an odd kind of socket says.
bool cannot_splice(int sys) {
  return sys == ENOSYS || sys == EPERM || sys == EINVAL || sys == EOPNOTSUPP;
}

}  // namespace

Tunnel::Tunnel(const Ends& ends, const Clock& clock, TimerWheel& timers, const Limit& idle,
               Delegate<void(TunnelEnd)> on_ended)
    : clock_(clock),
      idle_(idle),
      on_ended_(on_ended),
      pipes_(ends.pipes),
      splices_(ends.client.splices() && ends.upstream.splices()),
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
  put_pipe_back(upwards_);
  put_pipe_back(downwards_);
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

// Sends what waits, then takes and sends until the kernel has no more, the sink takes no more, or
// it is others' turn.
std::optional<TunnelEnd> Tunnel::move(Direction& direction) {
  const std::uint64_t moved_before = direction.moved;
  for (bool more = true;;) {
    if (!flush(direction)) return direction.sink_broke;
    if (direction.holds_bytes()) {
      direction.from.pause_read(PauseReason::kBackpressure);
      return std::nullopt;
    }
    const bool turn_over = direction.moved - moved_before >= kMaxBytesPerTurn;
    if (turn_over && direction.from.is_announced()) break;
    if (!more || direction.state != Direction::State::kOpen) break;
    const Taken taken = take(direction);
    if (taken == Taken::kError) return direction.source_broke;
    if (taken == Taken::kEnd) {
      direction.state = Direction::State::kEndSeen;
      direction.from.pause_read(PauseReason::kEndSeen);
    }
    more = taken == Taken::kSome;
  }
  return rest(direction);
}

// Nothing is held; the next event goes on, or both ways have ended.
std::optional<TunnelEnd> Tunnel::rest(Direction& direction) {
  direction.from.resume_read(PauseReason::kBackpressure);
  direction.buffer.release_if_empty();
  put_pipe_back(direction);
  if (direction.state == Direction::State::kEndSeen) end_direction(direction);
  const bool both_ended =
      upwards_.state == Direction::State::kShut && downwards_.state == Direction::State::kShut;
  return both_ended ? std::optional(TunnelEnd::kDone) : std::nullopt;
}

Tunnel::Taken Tunnel::take(Direction& direction) {
  if (splices_ && direction.much) {
    if (direction.pipe == nullptr) direction.pipe = pipes_.lend();
    if (direction.pipe != nullptr) return take_by_pipe(direction);
  }
  return take_by_buffer(direction);
}

Tunnel::Taken Tunnel::take_by_pipe(Direction& direction) {
  Pipe& pipe = *direction.pipe;
  const IoResult result = direction.from.read_into_pipe(pipe.in.get(), PipePool::kPipeBytes);
  if (result.status == IoStatus::kError && cannot_splice(result.sys)) {
    splices_ = false;
    return Taken::kSome;
  }
  pipe.held = result.bytes;
  return note(direction, result, result.bytes < kMuch);
}

Tunnel::Taken Tunnel::take_by_buffer(Direction& direction) {
  const std::span<char> space = direction.buffer.prepare();
  const IoResult result = direction.from.read(space);
  direction.buffer.commit(result.bytes);
  return note(direction, result, !result.more);
}

Tunnel::Taken Tunnel::note(Direction& direction, const IoResult& result, bool was_all) {
  if (result.status == IoStatus::kWouldBlock) return Taken::kNothing;
  if (result.status == IoStatus::kEof) return Taken::kEnd;
  if (result.status == IoStatus::kError) return Taken::kError;
  direction.much = result.bytes >= kMuch;
  touch();
  return was_all ? Taken::kAll : Taken::kSome;
}

// False when the sink broke. What it does not take waits for on_writable().
bool Tunnel::flush(Direction& direction) {
  if (!direction.holds_bytes()) return true;
  const IoResult result = write_held(direction);
  if (result.status == IoStatus::kWouldBlock) return true;
  if (result.status != IoStatus::kOk) return false;
  direction.moved += result.bytes;
  touch();
  return true;
}

IoResult Tunnel::write_held(Direction& direction) {
  if (!direction.buffer.empty()) {
    const IoResult result = direction.to.write(direction.buffer.readable());
    direction.buffer.consume(result.bytes);
    return result;
  }
  Pipe& pipe = *direction.pipe;
  const IoResult result = direction.to.write_from_pipe(pipe.out.get(), pipe.held);
  pipe.held -= result.bytes;
  return result;
}

void Tunnel::put_pipe_back(Direction& direction) {
  if (direction.pipe != nullptr) pipes_.give_back(std::move(direction.pipe));
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
