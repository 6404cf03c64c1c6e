// Two streams joined: bytes of each go to the other as they are, until both directions have ended
// or one side breaks. The end of one direction is passed on and the other lives on (half-close).
//
// What was read before the tunnel began (early data, bytes behind a 101) is sent first. A side that
// takes nothing stops the reading of the other. No HTTP limit applies, only `idle`: so long without
// a byte either way.
//
// Much at a time goes through a pipe, which the kernel fills and empties without a copy, where both
// streams are plaintext and a pipe is to be had; else, and what comes in small pieces, by a buffer.
//
// Owner: an Exchange, which owns both streams by way of its session and its lease and outlives the
// tunnel. Thread: the worker's. on_ended comes once, never before start() has returned, and the
// tunnel may be destroyed in it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/buffer.h"
#include "base/delegate.h"
#include "config/settings.h"
#include "event/clock.h"
#include "event/timer_wheel.h"
#include "net/pipe_pool.h"
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
    PipePool& pipes;
    bool client_ended;  // it has shut its writing side already
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
    bool much = false;             // the last read found so much that a pipe pays
    std::unique_ptr<Pipe> pipe{};  // while bytes are in it, or on their way

    bool holds_bytes() const { return !buffer.empty() || (pipe != nullptr && pipe->held > 0); }
  };
  enum class Taken : std::uint8_t {
    kSome,     // there may be more
    kAll,      // there was less than could be taken
    kNothing,  // there is none now
    kEnd,
    kError,
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
  std::optional<TunnelEnd> rest(Direction& direction);
  Taken take(Direction& direction);
  Taken take_by_pipe(Direction& direction);
  Taken take_by_buffer(Direction& direction);
  Taken note(Direction& direction, const IoResult& result, bool was_all);
  bool flush(Direction& direction);
  IoResult write_held(Direction& direction);
  void put_pipe_back(Direction& direction);
  void end_direction(Direction& direction);
  void on_idle();
  void touch();

  const Clock& clock_;
  const Limit idle_;
  const Delegate<void(TunnelEnd)> on_ended_;
  PipePool& pipes_;
  bool splices_;  // both streams do
  Direction upwards_;
  Direction downwards_;
  Side client_side_;
  Side upstream_side_;
  Deadline deadline_;
};

}  // namespace penstock
