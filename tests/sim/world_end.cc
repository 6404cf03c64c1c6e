// How a run ends: workers that end while others go on, and a winding up after which nothing may be
// left of anything.

#include <algorithm>

#include "world.h"

namespace penstock::sim {

// A drain first stops the sharing of clients and waits until every worker has turned.
void World::end_a_worker() {
  quota_.stop_sharing();
  for (const auto& worker : workers_) worker->turn_until_quiet();
  Worker& ending = *any_worker();
  stage_.trace("worker " + std::to_string(ending.index()) + " ends");
  for (const auto& client : clients_) {
    if (client->worker() == ending.index()) client->worker_ends();
  }
  ending.end();
}

void World::wind_up() {
  constexpr int kMostRounds = 4000;
  rules_.change_to_end();
  put_in_force();
  for (const char* name : {"a", "b", "rest"}) {
    if (registry_.is_paused(name)) pause(name, false);
  }
  for (const auto& worker : workers_) {
    if (!worker->ended()) worker->apply(table_, rules_.generation());
  }
  for (int round = 0; anybody_there(); ++round) {
    if (round == kMostRounds) tell_who_is_left();
    // What was sent to a worker that has ended keeps its permit until the last one ends.
    if (round == kMostRounds / 10 && anybody_ended()) return;
    wind_up_round();
  }
}

void World::tell_who_is_left() const {
  for (const auto& client : clients_) {
    if (client->socket().peer().open()) stage_.finding("never done with: " + client->describe());
  }
}

bool World::anybody_there() const {
  return std::any_of(workers_.begin(), workers_.end(), [](const auto& worker) {
    return !worker->ended() && worker->proxy().session_count() > 0;
  });
}

bool World::anybody_ended() const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const auto& worker) { return worker->ended(); });
}

void World::wind_up_round() {
  ++stage_.progress.step;
  for (const auto& client : clients_) client->wind_up();
  for (const auto& worker : workers_) {
    if (worker->ended()) continue;
    {
      const Worker::Turn turn(*worker);
      worker->dialer().act();
    }
    worker->turn_until_quiet();
  }
  for (const auto& origin : origins_) origin->wind_up();
  stage_.clock.advance(std::chrono::milliseconds(50));
  after_step();
}

// What is idle goes after idle_timeout, empty hosts a minute later.
void World::let_hosts_be_forgotten() {
  for (int i = 0; i < 40; ++i) {
    ++stage_.progress.step;
    // At last to where deadlines were filed that are cancelled by now.
    stage_.clock.advance(i < 39 ? std::chrono::seconds(5) : std::chrono::minutes(30));
    for (const auto& worker : workers_) {
      if (!worker->ended()) worker->turn_until_quiet();
    }
    for (const auto& origin : origins_) origin->wind_up();
    after_step();
  }
  if (anybody_ended()) return;
  if (ledger_.begun != count_records(workers_))
    stage_.finding(std::to_string(ledger_.begun) + " requests were begun, and " +
                   std::to_string(count_records(workers_)) + " recorded");
  const auto hosts = registry_.snapshot(stage_.now());
  if (!hosts.empty()) stage_.finding(hosts[0].key.host + " is not forgotten");
  for (const auto& worker : workers_) {
    if (worker->timers().next_wakeup() != kForever) stage_.finding("a deadline is left");
  }
}

void World::end_workers() {
  stage_.between = nullptr;
  for (const auto& client : clients_) client->worker_ends();
  for (const auto& worker : workers_) {
    if (!worker->ended()) worker->end();
  }
  for (const auto& worker : workers_) worker->drop_posted();
}

void World::check_nothing_left() {
  for (const auto& worker : workers_) {
    stage_.expect(worker->dialer().in_flight() == 0, "a dial is left");
    stage_.expect(worker->executor().posted() == 0, "a task is left");
    stage_.expect(worker->executor().deferred() == 0, "an object is left");
  }
  for (const auto& origin : origins_) stage_.expect(!origin->open(), "a connection is left");
  for (const auto& client : clients_)
    stage_.expect(!client->socket().peer().open(), "a client is left");
  for (const HostSnapshot& host : registry_.snapshot(stage_.now())) {
    const bool empty =
        host.dialing + host.idle + host.busy + host.draining + host.upgraded + host.waiting == 0;
    if (!empty) stage_.finding(host.key.host + " still counts something");
  }
  const ProcessBounds& bounds = registry_.bounds();
  stage_.expect(bounds.connections.taken() == 0, "a permit of the process is left");
  stage_.expect(bounds.idle.taken() == 0, "a place for an idle connection is left");
  // Who was on the way to a worker that has ended counts for ever.
  const auto lost = std::count_if(clients_.begin(), clients_.end(), [](const auto& client) {
    return !client->socket().peer().connected();
  });
  stage_.expect(quota_.taken() == static_cast<std::uint32_t>(lost), "a client still counts");
}

}  // namespace penstock::sim
