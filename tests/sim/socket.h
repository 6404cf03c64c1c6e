// A connection between the proxy and a client or an origin of the simulation.
//
// It adds to a FakePeer what several workers make of a stream: whose it is, and who may touch it
// now. As with a real one, the loop that a connection was taken from still watches it, behind a
// gate that is shut; its next event there must find it so. Every use that a thread could not make
// is a finding.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stage.h"
#include "support/fake_stream.h"

namespace penstock::sim {

// Whoever plays the other end; told while the proxy makes the call.
class FarEnd {
 public:
  virtual void on_consumed() = 0;                                         // the proxy has read
  virtual void on_offered(std::span<const std::string_view> pieces) = 0;  // it is about to write
  virtual void on_written() = 0;                                          // it has written
  virtual void on_rest() = 0;                                             // it keeps it idle
  virtual void on_closed() = 0;
  virtual std::string name() const = 0;

 protected:
  ~FarEnd() = default;
};

class Socket {
 public:
  Socket(Stage& stage, FakePeer& peer, FarEnd& far_end, std::size_t worker)
      : stage_(stage), peer_(peer), far_end_(far_end), worker_(worker) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // The proxy's end. Once.
  std::unique_ptr<Stream> open();

  std::string name() const { return far_end_.name(); }
  FakePeer& peer() { return peer_; }
  const FakePeer& peer() const { return peer_; }
  std::size_t worker() const { return worker_; }
  std::uint64_t consumed() const { return consumed_; }  // bytes that the proxy has read
  // Closed, and no loop watches it any more.
  bool over() const { return peer_.connected() && !peer_.open() && left_behind_.empty(); }

  // One event of this worker's loop.
  bool due(std::size_t worker) const;
  void serve(std::size_t worker);
  // The worker's loop has ended.
  void forget(std::size_t worker);

 private:
  friend class SimStream;

  struct LeftBehind {
    std::size_t worker;
    std::shared_ptr<WatchGate> gate;
  };

  void check_use(const char* what) const;
  void leave_loop();

  Stage& stage_;
  FakePeer& peer_;
  FarEnd& far_end_;
  std::size_t worker_;
  std::shared_ptr<WatchGate> gate_;  // while it rests
  bool watched_ = true;              // not once the gate said that it was taken, until it is moved
  bool looked_at_ = false;           // an event of it while it rested is being served
  bool abandoned_ = false;
  std::vector<LeftBehind> left_behind_;
  std::uint64_t consumed_ = 0;
};

class SimStream final : public Stream {
 public:
  explicit SimStream(Socket& socket) : socket_(socket), inner_(socket.peer_.connect()) {}
  ~SimStream() override;

  void set_handler(StreamHandler* handler) override;
  IoResult read(std::span<char> into) override;
  using Stream::write;
  IoResult write(std::span<const std::string_view> pieces) override;
  bool has_pending() const override { return inner_->has_pending(); }
  void pause_read(PauseReason reason) override;
  void resume_read(PauseReason reason) override;
  void rest(const std::shared_ptr<WatchGate>& gate) override;
  void wake() override;
  bool move_to(Loop&, WatchGate&) override { return false; }  // there is no loop: take()
  void abandon(WatchGate& gate) override;
  void shutdown_write() override;
  void abort() override;
  Error last_error() const override { return inner_->last_error(); }

  // move_to() for a worker; false: `fails`, as when no descriptor is left.
  bool take(std::size_t worker, WatchGate& gate, bool fails);

 private:
  Socket& socket_;
  const std::unique_ptr<Stream> inner_;
};

}  // namespace penstock::sim
