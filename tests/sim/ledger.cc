#include "ledger.h"

#include <algorithm>

namespace penstock::sim {

Request& Ledger::add(Request request) {
  request.id = requests_.size() + 1;
  return requests_.emplace_back(std::move(request));
}

std::uint64_t Ledger::add(const Answer& answer) {
  answers_.push_back(answer);
  return answers_.size();
}

void Ledger::begin_waiting(Request& request) {
  request.waiting = true;
  request.since = stage_.progress.step;
  waiting_.push_back(&request);
  stage_.trace("request " + std::to_string(request.id) + " begins");
}

// A request that may not be sent twice may have found its connection dead before a byte was
// written: then only a new one will do for it, and that one is dialled ahead of the queue.
void Ledger::acquired(Request& request) {
  request.given = true;
  if (!request.waiting) return;
  stop_waiting(request);
  if (!request.repeatable) return;
  for (Request* older : waiting_) {
    if (!older->repeatable) continue;
    const bool same_kind = older->worker == request.worker && older->host == request.host &&
                           older->port == request.port && older->tls == request.tls &&
                           older->generation == request.generation;
    // Within a step the end of an answer may be seen before the next request has its place.
    if (same_kind && older->since < request.since) older->overtaken = true;
  }
}

void Ledger::reroute(std::size_t worker, unsigned generation) {
  for (Request& request : requests_) {
    if (request.worker == worker && !request.given) request.generation = generation;
  }
}

void Ledger::stop_waiting(Request& request) {
  if (!request.waiting) return;
  request.waiting = false;
  std::erase(waiting_, &request);
}

void Ledger::written(Request& request, std::uint64_t connection) {
  auto& seen = request.connections;
  if (std::find(seen.begin(), seen.end(), connection) != seen.end()) return;
  seen.push_back(connection);
  if (seen.size() > 1 && !request.repeatable)
    stage_.finding(request.method + " request " + std::to_string(request.id) +
                   " was sent twice, and may not be");
}

void Ledger::end_step() {
  for (Request* request : waiting_) {
    if (request->overtaken)
      stage_.finding("request " + std::to_string(request->id) + " to " + request->host +
                     " waits, and a younger one of its worker was served");
  }
}

}  // namespace penstock::sim
