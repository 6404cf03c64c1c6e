// The admin addresses. The full one serves GET /livez, /readyz, /pools, /dns and /metrics; the
// public one, for probes and Prometheus, all but /pools and /dns.
//
// A web page must not be able to ask through a browser: a request that carries an Origin is
// refused, and the full address takes only the Host that is its own or localhost. The public one is
// asked under whatever name or address others know it by. One request per connection.
//
// Owner: the Daemon. Thread: the control loop's. Ends with its open connections.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/delegate.h"
#include "base/intrusive_list.h"
#include "event/loop.h"
#include "net/listener.h"

namespace penstock {

// What the admin server knows of the rest.
class AdminBackend {
 public:
  // Whether new requests are welcome, and if not why.
  virtual bool ready(std::string& why) = 0;
  virtual std::string pools_json(std::string_view upstream) = 0;
  virtual std::string dns_json() = 0;
  virtual std::string metrics_text() = 0;
  // Calls back once every worker's loop has turned; never when one hangs.
  virtual void check_workers(Delegate<void()> on_all_alive) = 0;

 protected:
  ~AdminBackend() = default;
};

enum class AdminScope : std::uint8_t { kFull, kPublic };

class AdminServer {
 public:
  // Takes the listening descriptor over.
  AdminServer(Loop& loop, int fd, AdminBackend& backend, AdminScope scope);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

  const SocketAddress& local_address() const { return listener_.local_address(); }

 private:
  class Connection;

  void on_accepted(int fd, const SocketAddress& peer);
  void ask_workers(Connection& connection);
  void on_all_alive();
  void on_workers_silent();
  void answer_waiting(bool alive);
  void remove(Connection& connection);

  Loop& loop_;
  AdminBackend& backend_;
  const AdminScope scope_;
  BlockPool blocks_;
  Listener listener_;
  IntrusiveList<Connection> connections_;
  std::size_t connection_count_ = 0;
  Deadline liveness_;  // how long the workers may take to answer
};

}  // namespace penstock
