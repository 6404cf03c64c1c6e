// Looks every so often at the files of the configuration, and says when they are others.
//
// What counts is their content, by whatever name or link it is reached (Kubernetes swaps a link),
// and whether there is any. A change is told when two looks in a row agree in it: a file that is
// being written is not read half. It is told once: what it leads to gives us the files anew, as
// they were read then, however bad they were.
//
// Owner: the Daemon. Thread: the control loop's. Ends without a word.
#pragma once

#include <vector>

#include "base/delegate.h"
#include "config/file.h"
#include "config/settings.h"
#include "event/clock.h"
#include "event/timer_wheel.h"
#include "net/file_stamp.h"

namespace penstock {

class ConfigWatch {
 public:
  ConfigWatch(TimerWheel& timers, const Clock& clock, Delegate<void()> on_changed);
  ConfigWatch(const ConfigWatch&) = delete;
  ConfigWatch& operator=(const ConfigWatch&) = delete;

  // These are the files now, as they were read; another look `every` so often, never when off. A
  // pipe is not looked at: that would read it.
  void watch(const std::vector<ReadFile>& files, const Limit& every);

 private:
  struct File {
    ReadFile read;      // what was told last
    FileStamp stamp{};  // of the last look at its content
    std::uint64_t seen = 0;
    bool settled = false;  // a change since that look would show in the stamp
  };

  void on_due();
  bool look(File& file) const;

  const Clock& clock_;  // borrowed: outlives us
  const Delegate<void()> on_changed_;
  std::vector<File> files_;
  Limit every_;
  Deadline due_;
};

}  // namespace penstock
