// Names to addresses by c-ares on the loop: the hosts file, then DNS, both families.
//
// Lookups of the same name that overlap are one, with many waiters; a waiter that is cancelled
// leaves it, the lookup goes on. Nothing is kept afterwards. Names with a dot are taken as they
// are; names without one are completed by the system's search list.
//
// Owner: a Worker. Thread: its loop's. Ends after its last Pending (asserted); lookups that nobody
// waits for may be in flight. May end inside a handler's callback.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/intrusive_list.h"
#include "base/result.h"
#include "base/time.h"
#include "event/timer_wheel.h"
#include "net/resolver.h"

struct ares_addrinfo;

namespace penstock {

class CaresChannel;
class Loop;

struct ResolverOptions {
  std::vector<std::string> servers{};  // address[:port]; empty: the system's
  Duration attempt_timeout = std::chrono::seconds(1);
  std::uint32_t attempts = 2;
};

class CaresResolver final : public Resolver {
 public:
  // Fails when the servers make no sense or the system's configuration cannot be read.
  static Result<std::unique_ptr<CaresResolver>> create(Loop& loop, const ResolverOptions& options);
  ~CaresResolver() override;

  using Start = std::variant<AddressList, Pending, Error>;
  Start resolve(const std::string& host, ResolveHandler& handler) override;

 private:
  using Outcome = std::variant<AddressList, Error>;
  class Waiter;
  struct Lookup;

  explicit CaresResolver(Loop& loop);
  CaresChannel& channel_for(const std::string& host);
  Lookup& join_or_start(const std::string& host);
  void forget(const Lookup& lookup);
  static void on_answer(void* lookup, int status, int timeouts, ares_addrinfo* answer);
  void deliver();

  Loop& loop_;  // borrowed: outlives what is watched on it
  std::unordered_map<std::string, std::unique_ptr<Lookup>> lookups_;
  std::vector<Lookup*> answered_;  // still in lookups_
  bool* destroyed_ = nullptr;      // on the stack of deliver()
  Deadline deliver_soon_;
  // Last, to end first: their queries point at lookups.
  std::unique_ptr<CaresChannel> exact_;
  std::unique_ptr<CaresChannel> searching_;
};

}  // namespace penstock
