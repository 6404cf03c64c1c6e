// Every request and every answer of a run: who asked what, where it was seen, what came back.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "stage.h"
#include "wire.h"

namespace penstock::sim {

struct Request {
  std::uint64_t id = 0;
  std::size_t client = 0;  // its number
  std::size_t worker = 0;  // that serves its client
  std::string method;
  std::string host;
  std::uint16_t port = 80;
  bool tls = false;  // towards the origin
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;
  bool repeatable = true;  // may be sent to an origin twice
  bool expects = false;    // its body waits for a 100
  bool upgrade = false;
  bool old = false;  // of HTTP/1.0

  // state
  unsigned first_generation = 0;           // of the configuration that it began with
  unsigned generation = 0;                 // of the one by which it was routed last
  std::uint64_t since = 0;                 // the step in which its waiting began; 0: it has not
  bool waiting = false;                    // its head was read, and no connection was had yet
  bool given = false;                      // it has had one
  bool overtaken = false;                  // in this step, by a younger one
  std::vector<std::uint64_t> connections;  // that took a byte of it

  bool connect() const { return method == "CONNECT"; }
};

struct Answer {
  std::uint64_t request = 0;
  std::uint64_t length = 0;  // of the body
  bool complete = false;     // all of it was sent
  bool delivered = false;    // its head has come to a client
  bool stray = false;        // nobody had asked
};

class Ledger {
 public:
  explicit Ledger(Stage& stage) : stage_(stage) {}

  Request& add(Request request);
  Request& request(std::uint64_t id) { return requests_[id - 1]; }
  bool knows_request(std::uint64_t id) const { return id >= 1 && id <= requests_.size(); }
  std::uint64_t add(const Answer& answer);  // its serial number, from 1 on
  Answer& answer(std::uint64_t serial) { return answers_[serial - 1]; }
  bool knows_answer(std::uint64_t serial) const { return serial >= 1 && serial <= answers_.size(); }

  // The proxy has its head and looks for a connection.
  void begin_waiting(Request& request);
  // It was given one: all that waited longer on the same worker for the same kind are overtaken.
  void acquired(Request& request);
  void stop_waiting(Request& request);
  // A worker has another configuration: who waits is routed again.
  void reroute(std::size_t worker, unsigned generation);
  // A connection took a byte of it.
  void written(Request& request, std::uint64_t connection);
  // Nobody may have been overtaken and wait still.
  void end_step();

  std::uint64_t begun = 0;  // requests that the proxy began to read
  std::uint64_t ended = 0;  // requests whose answer came whole
  std::uint64_t requests() const { return requests_.size(); }

 private:
  Stage& stage_;
  std::deque<Request> requests_;  // by id
  std::deque<Answer> answers_;    // by serial
  std::vector<Request*> waiting_;
};

}  // namespace penstock::sim
