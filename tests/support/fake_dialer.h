// A Dialer whose dials the test completes, fails or moves through their phases, one by one.
//
// Dials in flight are numbered by age: 0 is the oldest. The streams that it hands out lead to
// FakePeers, which the dialer keeps, in order of connecting; so it outlives every stream.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event/clock.h"
#include "net/dialer.h"
#include "support/fake_stream.h"

namespace penstock {

class FakeDialer : public Dialer {
 public:
  explicit FakeDialer(const Clock& clock) : clock_(clock) {}
  FakeDialer(const FakeDialer&) = delete;
  FakeDialer& operator=(const FakeDialer&) = delete;
  ~FakeDialer() override { assert(in_flight_.empty() && "a dialer outlives its dials"); }

  [[nodiscard]] Pending dial(std::shared_ptr<const DialTarget> target, const DialLimits& limits,
                             DialHandler& handler) override {
    ++started_;
    return std::make_unique<Dial>(*this, std::move(target), limits, handler);
  }

  // What has no loop needs only to wake up.
  bool adopt(Stream& stream, WatchGate&) override {
    stream.wake();
    return !refuses_to_adopt;
  }
  bool refuses_to_adopt = false;  // as when no descriptor is left
  void keep_fresh(const std::string& host) override { kept_fresh_.push_back(host); }
  std::vector<std::string> take_kept_fresh() { return std::exchange(kept_fresh_, {}); }

  // The dial's handler is told; a handler may end any dial meanwhile.
  void enter_phase(Phase phase, std::size_t which = 0) {
    Dial& dial = at(which);
    stamp(dial, phase);
    dial.handler.on_dial_phase(phase);
  }
  // To `ip` and the target's port; the peer's stream is already connected when this returns.
  std::string ip = "192.0.2.1";
  FakePeer& complete(std::size_t which = 0, bool tls_resumed = false) {
    Dial& dial = at(which);
    take(dial);
    ++completed_;
    FakePeer& peer = *peers_.emplace_back(std::make_unique<FakePeer>());
    DialTimes times = dial.times;
    times.connected = clock_.now();
    if (dial.target->tls != nullptr) times.handshaken = clock_.now();
    dial.handler.on_dialed({.stream = connect(peer, *dial.target, times),
                            .address = *SocketAddress::from_ip(ip, dial.target->port),
                            .times = times,
                            .tls_resumed = tls_resumed});
    return peer;
  }
  void fail(Error error, std::size_t which = 0) {
    Dial& dial = at(which);
    take(dial);
    ++failed_;
    dial.handler.on_dial_failed(std::move(error), dial.times);
  }
  void fail(std::size_t which = 0) {
    fail({.code = ErrorCode::kConnectionRefused, .phase = Phase::kConnect, .detail = "refused"},
         which);
  }

  std::size_t in_flight() const { return in_flight_.size(); }
  const DialTarget& target(std::size_t which = 0) const { return *in_flight_[which]->target; }
  const DialLimits& limits(std::size_t which = 0) const { return in_flight_[which]->limits; }
  const DialTimes& times(std::size_t which = 0) const { return in_flight_[which]->times; }
  std::uint64_t started() const { return started_; }
  std::uint64_t completed() const { return completed_; }
  std::uint64_t failed() const { return failed_; }
  std::uint64_t cancelled() const { return cancelled_; }

  // Of every stream handed out, dead ones too.
  FakePeer& peer(std::size_t index) { return *peers_[index]; }
  std::size_t peer_count() const { return peers_.size(); }
  std::size_t open_streams() const {
    std::size_t open = 0;
    for (const auto& peer : peers_) open += peer->open() ? 1 : 0;
    return open;
  }

 protected:
  // The stream that a completed dial hands out.
  virtual std::unique_ptr<Stream> connect(FakePeer& peer, const DialTarget&, const DialTimes&) {
    return peer.connect();
  }

 private:
  struct Dial final : PendingOperation {
    Dial(FakeDialer& dialer, std::shared_ptr<const DialTarget> where, const DialLimits& limited,
         DialHandler& told)
        : owner(dialer), target(std::move(where)), limits(limited), handler(told) {
      times.started = owner.clock_.now();
      owner.in_flight_.push_back(this);
    }
    ~Dial() override {
      if (!over) {
        owner.take(*this);
        ++owner.cancelled_;
      }
    }

    FakeDialer& owner;
    const std::shared_ptr<const DialTarget> target;
    const DialLimits limits;
    DialHandler& handler;
    DialTimes times;
    bool over = false;
  };

  Dial& at(std::size_t which) {
    assert(which < in_flight_.size());
    return *in_flight_[which];
  }
  void take(Dial& dial) {
    dial.over = true;
    std::erase(in_flight_, &dial);
  }
  void stamp(Dial& dial, Phase phase) const {
    if (phase == Phase::kConnect) dial.times.resolved = clock_.now();
    if (phase == Phase::kTlsHandshake) dial.times.connected = clock_.now();
  }

  const Clock& clock_;
  std::vector<Dial*> in_flight_;
  std::vector<std::unique_ptr<FakePeer>> peers_;
  std::vector<std::string> kept_fresh_;
  std::uint64_t started_ = 0;
  std::uint64_t completed_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t cancelled_ = 0;
};

}  // namespace penstock
