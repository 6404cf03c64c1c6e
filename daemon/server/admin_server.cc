#include "server/admin_server.h"

#include <string>

#include "config/addresses.h"

namespace penstock {

namespace {

constexpr std::size_t kMaxConnections = 64;

}  // namespace

AdminServer::AdminServer(Loop& loop, ListeningSocket socket, const AdminRoutes& routes,
                         AdminScope scope)
    : loop_(loop),
      routes_(routes),
      scope_(scope),
      listener_(loop, socket.fds.front().release(),
                Listener::OnAccepted::to<&AdminServer::on_accepted>(*this)),
      file_(std::move(socket.file)) {}

AdminServer::~AdminServer() {
  while (AdminConnection* connection = connections_.pop_front()) delete connection;
}

void AdminServer::own_file(std::string_view address) {
  if (listener_kind(address) != ListenerKind::kUnix || file_) return;
  file_ = UnixSocketFile(std::string(socket_name(address)));
}

void AdminServer::on_accepted(int fd, const SocketAddress&) {
  auto* connection = new AdminConnection(*this, fd);
  connections_.push_back(*connection);
  if (++connection_count_ > kMaxConnections) connections_.front().close();  // the oldest makes room
}

void AdminServer::remove(AdminConnection& connection) {
  connection.unlink();
  --connection_count_;
  loop_.defer_delete(std::unique_ptr<DeferredDeletable>(&connection));
}

}  // namespace penstock
