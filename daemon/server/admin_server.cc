#include "server/admin_server.h"

#include <array>
#include <chrono>

#include "http/authority.h"
#include "http/parser.h"
#include "http/target.h"
#include "net/tcp_stream.h"

namespace penstock {

namespace {

constexpr std::size_t kMaxConnections = 64;
constexpr std::size_t kMaxHeadBytes = 16 * 1024;
constexpr Duration kConnectionLimit = std::chrono::seconds(10);
constexpr Duration kWorkersAnswerWithin = std::chrono::seconds(2);

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 421:
      return "Misdirected Request";
    case 503:
      return "Service Unavailable";
    default:
      return "Bad Request";
  }
}

}  // namespace

// One request and its answer.
class AdminServer::Connection final : public ListNode<>,
                                      public DeferredDeletable,
                                      private StreamHandler {
 public:
  Connection(AdminServer& server, int fd)
      : server_(server),
        stream_(server.loop_, fd),
        parser_(ParseLimits{.max_head_bytes = kMaxHeadBytes}),
        input_(server.blocks_),
        output_(server.blocks_),
        deadline_(server.loop_.timers(), Delegate<void()>::to<&Connection::close>(*this)) {
    stream_.set_handler(this);
    deadline_.arm(server.loop_.now() + kConnectionLimit);
  }

  bool waits_for_workers() const { return waits_for_workers_; }

  void answer(int status, std::string_view type, std::string_view body) {
    waits_for_workers_ = false;
    std::string head =
        "HTTP/1.1 " + std::to_string(status) + ' ' + std::string(reason(status)) + "\r\n";
    head += "Content-Type: " + std::string(type) +
            "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    if (status == 405) head += "Allow: GET, HEAD\r\n";
    head +=
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
    if (request_.method == Method::kHead) body = {};
    output_.set_max_bytes(head.size() + body.size());
    output_.append(head);
    output_.append(body);
    answered_ = true;
    on_writable();
  }

  void close() {
    if (closed_) return;
    closed_ = true;
    deadline_.cancel();
    stream_.set_handler(nullptr);
    server_.remove(*this);
  }

 private:
  void on_readable() override {
    if (answered_) {  // until the client has closed, or the deadline
      std::array<char, 4096> ignored;
      const IoStatus status = stream_.read(ignored).status;
      if (status == IoStatus::kEof || status == IoStatus::kError) close();
      return;
    }
    const IoResult result = stream_.read(input_.prepare());
    if (result.status == IoStatus::kWouldBlock) return;
    if (result.status != IoStatus::kOk) {
      close();
      return;
    }
    input_.commit(result.bytes);
    if (waits_for_workers_) {
      stream_.pause_read(PauseReason::kNotNow);
      return;
    }
    const ParseStep step = parser_.next(input_.readable(), request_);
    input_.consume(step.consumed);
    if (step.event == ParseEvent::kFault) {
      answer(400, kText, std::string(parser_.fault().reason) + "\n");
    } else if (step.event == ParseEvent::kHead) {
      serve();
    }
  }

  void on_writable() override {
    if (output_.empty()) return;
    const IoResult result = stream_.write(output_.readable());
    if (result.status == IoStatus::kError || result.status == IoStatus::kEof) {
      close();
      return;
    }
    if (result.status == IoStatus::kOk) output_.consume(result.bytes);
    if (output_.empty()) {
      stream_.resume_read(PauseReason::kNotNow);
      stream_.shutdown_write();
    }
  }

  bool is_public() const { return server_.scope_ == AdminScope::kPublic; }

  bool is_own_host() const {
    const Field* host = request_.fields.find(FieldId::kHost);
    Authority authority;
    if (host == nullptr || parse_authority(host->value, authority)) return false;
    if (authority.port && *authority.port != server_.local_address().port()) return false;
    return authority.host == "localhost" || authority.host == server_.local_address().ip();
  }

  void serve() {
    if (!is_public() && !is_own_host()) {
      answer(421, kText, "Host must be the admin address itself or localhost\n");
    } else if (request_.fields.contains(FieldId::kOrigin)) {
      answer(403, kText, "requests of web pages (Origin) are refused\n");
    } else if (request_.method != Method::kGet && request_.method != Method::kHead) {
      answer(405, kText, "only GET is served here\n");
    } else {
      serve_path();
    }
  }

  void serve_path() {
    const std::string_view target = request_.target;
    const std::string_view path = target.substr(0, target.find('?'));
    AdminBackend& backend = server_.backend_;
    if (path == "/livez") {
      waits_for_workers_ = true;
      server_.ask_workers(*this);
    } else if (path == "/readyz") {
      std::string why;
      const bool ready = backend.ready(why);
      answer(ready ? 200 : 503, kText, ready ? "ready\n" : why + "\n");
    } else if (path == "/metrics") {
      answer(200, kPrometheus, backend.metrics_text());
    } else if (path == "/pools" && !is_public()) {
      answer(200, kJson, backend.pools_json(query_value(target, "upstream")));
    } else if (path == "/dns" && !is_public()) {
      answer(200, kJson, backend.dns_json());
    } else {
      answer(404, kText,
             is_public() ? "there is /livez, /readyz and /metrics\n"
                         : "there is /livez, /readyz, /pools, /dns and /metrics\n");
    }
  }

  // Names of upstreams need no percent-encoding.
  static std::string_view query_value(std::string_view target, std::string_view key) {
    const std::size_t question = target.find('?');
    if (question == std::string_view::npos) return {};
    std::string_view rest = target.substr(question + 1);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('&'), rest.size());
      const std::string_view pair = rest.substr(0, end);
      if (pair.size() > key.size() && pair.starts_with(key) && pair[key.size()] == '=')
        return pair.substr(key.size() + 1);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return {};
  }

  AdminServer& server_;
  TcpStream stream_;
  RequestParser parser_;
  RequestHead request_;
  Buffer input_;
  Buffer output_;
  Deadline deadline_;
  bool waits_for_workers_ = false;
  bool answered_ = false;
  bool closed_ = false;
};

AdminServer::AdminServer(Loop& loop, int fd, AdminBackend& backend, AdminScope scope)
    : loop_(loop),
      backend_(backend),
      scope_(scope),
      listener_(loop, fd, Listener::OnAccepted::to<&AdminServer::on_accepted>(*this)),
      liveness_(loop.timers(), Delegate<void()>::to<&AdminServer::on_workers_silent>(*this)) {}

AdminServer::~AdminServer() {
  while (Connection* connection = connections_.pop_front()) delete connection;
}

void AdminServer::on_accepted(int fd, const SocketAddress&) {
  auto* connection = new Connection(*this, fd);
  connections_.push_back(*connection);
  if (++connection_count_ > kMaxConnections) connections_.front().close();  // the oldest makes room
}

void AdminServer::remove(Connection& connection) {
  connection.unlink();
  --connection_count_;
  loop_.defer_delete(std::unique_ptr<DeferredDeletable>(&connection));
}

void AdminServer::ask_workers(Connection&) {
  if (liveness_.armed()) return;  // they are being asked already
  liveness_.arm(loop_.now() + kWorkersAnswerWithin);
  backend_.check_workers(Delegate<void()>::to<&AdminServer::on_all_alive>(*this));
}

void AdminServer::on_all_alive() {
  liveness_.cancel();
  answer_waiting(true);
}

void AdminServer::on_workers_silent() { answer_waiting(false); }

void AdminServer::answer_waiting(bool alive) {
  for (auto it = connections_.begin(); it != connections_.end();) {
    Connection& connection = *it;
    ++it;
    if (connection.waits_for_workers())
      connection.answer(alive ? 200 : 503, kText,
                        alive ? "alive\n" : "a worker's loop does not turn\n");
  }
}

}  // namespace penstock
