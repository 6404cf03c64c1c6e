#include "server/client_wait.h"

#include <algorithm>
#include <chrono>

#include "proxy/client_quota.h"

namespace penstock {

namespace {

constexpr Duration kQuiet = std::chrono::seconds(1);
constexpr Duration kLookEvery = std::chrono::milliseconds(100);

}  // namespace

ClientWait::ClientWait(TimerWheel& timers, const Clock& clock, const ClientQuota& clients,
                       Delegate<void()> on_over)
    : clock_(clock),
      clients_(clients),
      on_over_(on_over),
      look_(timers, Delegate<void()>::to<&ClientWait::look>(*this)) {}

void ClientWait::start(Duration most) {
  end_ = clock_.now() + most;
  quiet_since_ = kForever;
  entered_ = clients_.entered();
  look_.arm(clock_.now());
}

void ClientWait::look() {
  const MonotonicTime now = clock_.now();
  const bool quiet = clients_.taken() == 0 && clients_.entered() == entered_;
  entered_ = clients_.entered();
  quiet_since_ = quiet ? std::min(quiet_since_, now) : kForever;
  if (now >= end_ || (quiet && now - quiet_since_ >= kQuiet)) {
    on_over_();
  } else {
    look_.arm(std::min(now + kLookEvery, end_));
  }
}

}  // namespace penstock
