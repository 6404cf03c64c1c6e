// Signals that come before anybody listens for them wait, instead of ending the process.
//
// Owner: who starts the daemon, from before it reads its file until its watchers stand. Thread: the
// main one, before there are others, which inherit that they hold them.
#pragma once

#include <csignal>
#include <initializer_list>

namespace penstock {

class HeldSignals {
 public:
  explicit HeldSignals(std::initializer_list<int> signals) {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : signals) sigaddset(&held, signal);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;
  ~HeldSignals() { release(); }

  // What has come is delivered now.
  void release() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace penstock
