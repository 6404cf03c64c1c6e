// One connection to an admin address: one request, checked, handed to its route, answered.
//
// Owner: the AdminServer's list. Thread: the control loop's. Ends when the client has closed, or
// its time is over; the answer that a route still owes then goes nowhere.
#pragma once

#include <memory>
#include <string_view>

#include "base/buffer.h"
#include "base/intrusive_list.h"
#include "event/loop.h"
#include "http/parser.h"
#include "net/tcp_stream.h"
#include "server/admin_route.h"

namespace penstock {

class AdminServer;

class AdminConnection final : public ListNode<>, public DeferredDeletable, private StreamHandler {
 public:
  AdminConnection(AdminServer& server, int fd);

  void close();

 private:
  void on_readable() override;
  void on_writable() override;
  void on_deadline();
  void read_request();
  void discard_input();

  void serve();
  void serve_route(const AdminRoute& route, AdminRequest request);
  bool is_own_host() const;
  bool is_of_web_page() const;
  bool consents() const;
  bool has(std::string_view name, std::string_view value) const;
  bool has_large_body() const;

  void answer(const AdminReply& reply, std::string_view allow = {});
  void refuse(int status, std::string_view why, std::string_view allow = {});

  AdminServer& server_;
  TcpStream stream_;
  RequestParser parser_;
  RequestHead request_;
  Buffer input_;
  Buffer output_;
  Deadline deadline_;
  const AdminRoute* awaited_ = nullptr;  // whose answer comes later
  // Whoever answers later has a weak pointer to it.
  std::shared_ptr<AdminConnection*> self_ = std::make_shared<AdminConnection*>(this);
  bool answered_ = false;
  bool closed_ = false;
};

}  // namespace penstock
