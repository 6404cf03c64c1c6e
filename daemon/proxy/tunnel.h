// Two streams joined: bytes of each go to the other as they are, until both directions have ended
// or one side breaks. The end of one direction is passed on and the other lives on (half-close).
//
// What was read before the tunnel began (early data, bytes behind a 101) is sent first. A side that
// takes nothing stops the reading of the other. No HTTP limit applies, only `idle`: so long without
// a byte either way.
//
// Owner: an Exchange, which owns both streams by way of its session and its lease and outlives the
// tunnel. Thread: the worker's. on_ended comes once, never before start() has returned, and the
// tunnel may be destroyed in it.
#pragma once

#include <cstdint>
#include <optional>

#include "base/buffer.h"
#include "base/delegate.h"
#include "config/settings.h"
#include "event/clock.h"
#include "event/timer_wheel.h"
#include "net/stream.h"

namespace penstock {

enum class TunnelEnd : std::uint8_t {
  kDone,           // both sides ended
  kIdle,           // nothing moved for too long
  kClientBroke,    // the client's connection failed
  kUpstreamBroke,  // the upstream's connection failed
};

class Tunnel {
 public:
  struct Ends {
    Stream& client;
    Stream& upstream;
    Buffer& from_client;    // holds what the client sent already
    Buffer& from_upstream;  // likewise
    bool client_ended;      // it has shut its writing side already
  };
  Tunnel(const Ends& ends, const Clock& clock, TimerWheel& timers, const Limit& idle,
         Delegate<void(TunnelEnd)> on_ended);
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;
  ~Tunnel();

  // Takes over both streams' events and moves what is there. The end, when there is one at once.
  std::optional<TunnelEnd> start();

  std::uint64_t bytes_from_client() const { return upwards_.moved; }
  std::uint64_t bytes_from_upstream() const { return downwards_.moved; }

 private:
  // One way: what `from` gives goes through `buffer` to `to`.
  struct Direction {
    Stream& from;
    Stream& to;
    Buffer& buffer;
    TunnelEnd source_broke;
    TunnelEnd sink_broke;
    enum class State : std::uint8_t { kOpen, kEndSeen, kShut } state = State::kOpen;
    std::uint64_t moved = 0;
  };
  // Tells which stream an event came from.
  struct Side final : StreamHandler {
    Side(Tunnel& owner, Direction& in, Direction& out)
        : tunnel(owner), incoming(in), outgoing(out) {}
    void on_readable() override { tunnel.advance(incoming); }
    void on_writable() override { tunnel.advance(outgoing); }
    Tunnel& tunnel;
    Direction& incoming;  // what this side sends
    Direction& outgoing;  // what it is sent
  };

  void advance(Direction& direction);
  std::optional<TunnelEnd> move(Direction& direction);
  std::optional<TunnelEnd> flush(Direction& direction);
  void end_direction(Direction& direction);
  void on_idle();
  void touch();

  const Clock& clock_;
  const Limit idle_;
  const Delegate<void(TunnelEnd)> on_ended_;
  Direction upwards_;
  Direction downwards_;
  Side client_side_;
  Side upstream_side_;
  Deadline deadline_;
};

}  // namespace penstock
