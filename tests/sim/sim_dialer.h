// A worker's dialer in the simulation: FakeDialer, whose streams lead to Origins, with limits that
// fire and descriptors that run out.
#pragma once

#include <functional>
#include <memory>

#include "origin.h"
#include "stage.h"
#include "support/fake_dialer.h"

namespace penstock::sim {

class SimDialer final : public FakeDialer {
 public:
  // A dial is about to succeed: plays the other end.
  using OnConnected = std::function<Origin&(FakePeer& peer, Origin::Dialled dialled)>;

  SimDialer(Stage& stage, std::size_t worker, OnConnected on_connected)
      : FakeDialer(stage.clock),
        stage_(stage),
        worker_(worker),
        on_connected_(std::move(on_connected)) {}

  bool adopt(Stream& stream, WatchGate& gate) override {
    const bool fails = stage_.chance.one_in(40);
    const bool taken = static_cast<SimStream&>(stream).take(worker_, gate, fails);
    ++(taken ? stage_.progress.takeovers : refused_);
    stage_.interleave();
    return taken;
  }

  std::uint64_t refused() const { return refused_; }  // streams that it could not take over

  // Something happens to one of the dials.
  void act() {
    if (in_flight() == 0) return;
    Chance& chance = stage_.chance;
    const std::size_t which = chance.below(in_flight());
    switch (chance.below(8)) {
      case 0:
      case 1:
        enter_phase(Phase::kConnect, which);
        return;
      case 2:
        fail(draw_error(), which);
        return;
      default:
        ip = chance.of<const char*>({"192.0.2.1", "192.0.2.1", "192.0.2.2"});
        complete(which);
        return;
    }
  }

  // A dial that hangs comes to its limit.
  bool limit_due() const { return find_overdue() < in_flight(); }
  void fire_limit() {
    fail({.code = ErrorCode::kConnectionTimeout,
          .phase = Phase::kConnect,
          .limit_key = "timeouts.connect",
          .detail = "the upstream was not connected in time"},
         find_overdue());
  }

 private:
  std::unique_ptr<Stream> connect(FakePeer& peer, const DialTarget& target,
                                  const DialTimes& times) override {
    return on_connected_(peer, {.number = 0,
                                .worker = worker_,
                                .target = target,
                                .ip = ip,
                                .started = times.started})
        .connect();
  }
  std::size_t find_overdue() const {
    std::size_t which = 0;
    while (which < in_flight() && stage_.now() < times(which).started + *limits(which).connect)
      ++which;
    return which;
  }
  Error draw_error() {
    const ErrorCode code =
        stage_.chance.of({ErrorCode::kConnectionRefused, ErrorCode::kDnsError,
                          ErrorCode::kDestinationIpUnroutable, ErrorCode::kConnectionTerminated});
    return {.code = code, .phase = Phase::kConnect, .detail = "the dial failed"};
  }

  Stage& stage_;
  const std::size_t worker_;
  const OnConnected on_connected_;
  std::uint64_t refused_ = 0;
};

}  // namespace penstock::sim
