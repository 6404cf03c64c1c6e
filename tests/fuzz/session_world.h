// The real proxy, pool and parsers between clients and origins of a script, on a turned clock.
//
// Owner: one run of the target. Ends by aborting what is left; the pool asserts that it is empty.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"
#include "fuzz/session_script.h"
#include "pool/registry.h"
#include "proxy/proxy.h"
#include "support/fake_dialer.h"
#include "support/fake_stream.h"
#include "support/manual_clock.h"
#include "support/manual_executor.h"

namespace penstock::fuzz {

inline constexpr std::string_view kPseudonym = "penstock-0badcafe";

// One end of a connection as the script plays it.
struct Actor {
  FakePeer* peer = nullptr;
  std::string sent;
  bool left = false;         // it closed or reset the connection, or its writes fail
  bool read_slowly = false;  // what it sent may not have been seen at once
  // Before each sending: how much was sent, and how much had come from the proxy.
  struct Mark {
    std::size_t sent = 0;
    std::size_t received = 0;
  };
  std::vector<Mark> marks;
};

class SessionWorld {
 public:
  // `options`: bits that choose the settings, see make_config().
  explicit SessionWorld(std::uint32_t options);
  ~SessionWorld();
  SessionWorld(const SessionWorld&) = delete;
  SessionWorld& operator=(const SessionWorld&) = delete;

  // c: bytes from the client; u: bytes from the origin, whose dial is completed if need be
  // e, E: end of file   r, R: reset   w, W: room for N more bytes, unlimited without N
  // n: another client   x, y: choose client, origin N   l, L: reads take N bytes at most
  // d: the oldest dial succeeds   f: it fails   t: N ms pass   g: drain begins
  void play(const ScriptStep& step);

  const std::deque<Actor>& clients() const { return clients_; }
  const std::deque<Actor>& origins() const { return origins_; }
  const Config& config() const { return *config_; }

 private:
  void play_client(const ScriptStep& step);
  void play_origin(const ScriptStep& step);
  void play_peer(Actor& actor, char letter, const ScriptStep& step);
  Actor& client();
  Actor* origin();
  void add_client();
  void complete_dial();
  void settle();
  bool turn_all();

  ConfigSnapshot config_;
  ManualClock clock_;
  ManualExecutor executor_;
  FakeDialer dialer_{clock_};
  std::deque<std::unique_ptr<FakePeer>> client_peers_;
  MetricsRegistry metrics_registry_;
  WorkerMetrics& metrics_ = metrics_registry_.add_worker();
  PoolRegistry registry_{1};
  WorkerPool pool_;
  AccessLog access_log_;
  AccessLogWriter writer_{access_log_, 1};
  ClientQuota quota_;
  PoolingHints hints_;
  RetryAllowances retries_;
  BufferBudget buffers_;
  Log log_{LogLevel::kOff};
  EndpointRef endpoint_;
  std::unique_ptr<Proxy> proxy_;
  std::deque<Actor> clients_;
  std::deque<Actor> origins_;
  std::size_t chosen_client_ = 0;
  std::size_t chosen_origin_ = 0;
};

}  // namespace penstock::fuzz
