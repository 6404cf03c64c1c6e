// The admin addresses. The full one serves every route, the public one, for probes and Prometheus,
// those that are marked so.
//
// A web page must not be able to ask through a browser: a request that carries an Origin or that
// another site makes is refused, the full address takes only the Host that is its own or localhost,
// and a POST needs a field that a page cannot set. On a unix socket, which no page reaches, any
// Host will do. The public one is asked under whatever name or address others know it by. One
// request per connection.
//
// Owner: the Daemon. Thread: the control loop's. Ends with its open connections.
#pragma once

#include <string_view>

#include "base/buffer.h"
#include "base/intrusive_list.h"
#include "event/loop.h"
#include "net/listener.h"
#include "server/admin_connection.h"
#include "server/admin_route.h"
#include "server/listening_sockets.h"

namespace penstock {

class AdminServer {
 public:
  // Listens on the one descriptor of `socket`; `routes` outlive it.
  AdminServer(Loop& loop, ListeningSocket socket, const AdminRoutes& routes, AdminScope scope);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

  const SocketAddress& local_address() const { return listener_.local_address(); }

  // Nobody can come to it any more: it is a unix socket without its file.
  bool is_lost() const { return file_.is_lost(); }
  UniqueFd duplicate_listener() const { return listener_.duplicate(); }
  // Leaves new connections to whoever else has the socket; those that are open are answered.
  void stop_accepting() {
    file_.release();
    listener_.release();
  }
  // Whoever had the socket before has let go of its file, if `address` has one.
  void own_file(std::string_view address);

  // For its connections.
  Loop& loop() { return loop_; }
  BlockPool& blocks() { return blocks_; }
  const AdminRoutes& routes() const { return routes_; }
  AdminScope scope() const { return scope_; }
  void remove(AdminConnection& connection);

 private:
  void on_accepted(int fd, const SocketAddress& peer);

  Loop& loop_;
  const AdminRoutes& routes_;
  const AdminScope scope_;
  BlockPool blocks_;
  Listener listener_;
  UnixSocketFile file_;  // after the listener: it must end first
  IntrusiveList<AdminConnection> connections_;
  std::size_t connection_count_ = 0;
};

}  // namespace penstock
