// One run: three workers, their clients and origins, to which something random happens in each
// step; then everything is wound up, and nothing may be left.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "audit.h"
#include "client.h"
#include "ledger.h"
#include "origin.h"
#include "rules.h"
#include "stage.h"
#include "worker.h"

namespace penstock::sim {

class World {
 public:
  World(std::uint64_t seed, Progress& progress, Process& process, bool tracing);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  void run();

 private:
  enum class Event : std::uint8_t {
    kTurns,
    kClient,
    kOrigin,
    kDial,
    kTime,
    kArrival,
    kAddress,
    kReload,
    kConsole,
  };
  static const std::array<std::pair<Event, std::size_t>, 9> kOdds;  // and how often each comes

  void step();
  void act();
  Event draw_event();
  void after_step();

  // What may happen
  void give_turns();
  void play_client();
  void play_origin();
  void play_dial();
  void pass_time();
  void let_client_come();
  void reload();
  void use_console();
  void pause(const std::string& name, bool paused);
  void tell_workers(const std::function<void(Worker&)>& what);
  void move_address();
  void end_a_worker();

  // The end
  void wind_up();
  void wind_up_round();
  void tell_who_is_left() const;
  void let_hosts_be_forgotten();
  void end_workers();
  void check_nothing_left();
  bool anybody_there() const;
  bool anybody_ended() const;

  void interleave();
  Origin& connected(FakePeer& peer, Origin::Dialled dialled);
  void put_in_force();
  void take_address(Worker& worker, const std::string& host, const std::string& ip, bool leaves);
  bool knows(const Worker& worker, const DialTarget& target) const;
  std::shared_ptr<const RoutingTable> make_table();
  Worker* any_worker();
  template <typename Predicate>
  Origin* any_origin(Predicate wanted);

  Stage stage_;
  Process& process_;
  Ledger ledger_{stage_};
  Rules rules_{stage_};
  std::shared_ptr<const RoutingTable> table_;
  PoolRegistry registry_{kWorkers};
  ClientQuota quota_{kWorkers};
  PoolingHints hints_;
  RetryAllowances retries_;
  BufferBudget buffers_;
  std::vector<Socket*> sockets_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Origin>> origins_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Audit audit_{stage_, rules_, registry_, workers_, origins_, ledger_};
  std::uint32_t connections_closed_ = 0;  // in this step
  std::size_t interleaved_ = 0;           // turns within turns, on the stack
};

}  // namespace penstock::sim
