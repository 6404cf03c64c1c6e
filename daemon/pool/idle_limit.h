// How long the upstream keeps an idle connection, learned from the closes that it makes.
//
// Three closes after about the same idle time say what its limit is. Closes of one moment count
// once, and not at all when they came after different times: a server that restarts closes
// everything. One right after a response says nothing of idling. Sweeping earlier than the limit
// leaves nothing to observe, so that what was learned is forgotten after a while and learned anew,
// at the price of three closes that hurt nobody.
//
// A value: owned by its HostPool, under whose mutex it is used.
#pragma once

#include <array>

#include "base/time.h"
#include "config/settings.h"

namespace penstock {

class IdleLimit {
 public:
  // The peer closed a connection that had been idle for so long after a response.
  void on_closed(Duration idle, MonotonicTime now);
  // A connection was found alive after so long.
  void on_alive(Duration idle);

  bool has_samples() const { return count_ > 0; }
  // The peer's limit, as it was observed.
  Limit observed(MonotonicTime now) const;
  // How long we keep a connection for it: less a tenth or a second, whichever is less.
  Limit usable(MonotonicTime now) const;

 private:
  Duration shortest() const;
  bool agree() const;

  std::array<Duration, 3> samples_{};  // the last ones, newest first
  std::size_t count_ = 0;
  MonotonicTime last_ = kNever;
  bool last_was_crowd_ = false;  // the closes of that moment came after different times
};

}  // namespace penstock
