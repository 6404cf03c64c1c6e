#include "server/admin_connection.h"

#include <array>
#include <chrono>

#include "http/authority.h"
#include "server/admin_server.h"

namespace penstock {

namespace {

constexpr std::size_t kMaxHeadBytes = 16 * 1024;
constexpr std::uint64_t kMaxBodyBytes = 4096;  // is not read for anything
constexpr Duration kConnectionLimit = std::chrono::seconds(10);
constexpr Duration kTimeToFinish = std::chrono::seconds(2);  // after a late answer
constexpr std::string_view kConsent = "Penstock-Admin";

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
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Bad Request";
  }
}

std::string_view methods(Method method) { return method == Method::kGet ? "GET, HEAD" : "POST"; }

std::string head_of(const AdminReply& reply, std::string_view allow) {
  std::string head =
      "HTTP/1.1 " + std::to_string(reply.status) + ' ' + std::string(reason(reply.status)) + "\r\n";
  head += "Content-Type: " + std::string(reply.type) +
          "\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
  if (!allow.empty()) head += "Allow: " + std::string(allow) + "\r\n";
  head += reply.fields;
  return head +
         "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
         "Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n\r\n";
}

}  // namespace

AdminConnection::AdminConnection(AdminServer& server, int fd)
    : server_(server),
      stream_(server.loop(), fd),
      parser_(ParseLimits{.max_head_bytes = kMaxHeadBytes}),
      input_(server.blocks()),
      output_(server.blocks()),
      deadline_(server.loop().timers(),
                Delegate<void()>::to<&AdminConnection::on_deadline>(*this)) {
  stream_.set_handler(this);
  deadline_.arm(server.loop().now() + kConnectionLimit);
}

void AdminConnection::close() {
  if (closed_) return;
  closed_ = true;
  self_.reset();
  deadline_.cancel();
  stream_.set_handler(nullptr);
  server_.remove(*this);
}

void AdminConnection::on_readable() {
  if (answered_) {
    discard_input();
  } else if (awaited_ != nullptr) {
    stream_.pause_read(PauseReason::kNotNow);
  } else {
    read_request();
  }
}

// Until the client has closed, or the deadline.
void AdminConnection::discard_input() {
  std::array<char, 4096> ignored;
  const IoStatus status = stream_.read(ignored).status;
  if (status == IoStatus::kEof || status == IoStatus::kError) close();
}

void AdminConnection::read_request() {
  const IoResult result = stream_.read(input_.prepare());
  if (result.status == IoStatus::kWouldBlock) return;
  if (result.status != IoStatus::kOk) {
    close();
    return;
  }
  input_.commit(result.bytes);
  const ParseStep step = parser_.next(input_.readable(), request_);
  input_.consume(step.consumed);
  if (step.event == ParseEvent::kFault) {
    refuse(parser_.fault().status, parser_.fault().reason);
  } else if (step.event == ParseEvent::kHead) {
    serve();
  }
}

void AdminConnection::on_writable() {
  if (output_.empty()) return;
  const IoResult result = stream_.write(output_.readable());
  if (result.status == IoStatus::kError || result.status == IoStatus::kEof) {
    close();
    return;
  }
  if (result.status == IoStatus::kOk) output_.consume(result.bytes);
  if (!output_.empty()) return;
  stream_.resume_read(PauseReason::kNotNow);
  stream_.shutdown_write();
}

// Who was asked and has not answered keeps an action from its end; what others did stays done.
void AdminConnection::on_deadline() {
  if (awaited_ == nullptr) {
    close();
    return;
  }
  deadline_.arm(server_.loop().now() + kTimeToFinish);
  refuse(503, awaited_->late);
}

void AdminConnection::serve() {
  const bool is_public = server_.scope() == AdminScope::kPublic;
  if (!is_public && !is_own_host()) {
    refuse(421, "Host must be the admin address itself or localhost");
    return;
  }
  if (is_of_web_page()) {
    refuse(403, "requests of web pages (Origin, Sec-Fetch-Site) are refused");
    return;
  }
  AdminMatch match =
      match_route(server_.routes(), server_.scope(), request_.method, request_.target);
  if (match.route != nullptr) {
    serve_route(*match.route, {.target = request_.target, .names = std::move(match.names)});
  } else if (match.allowed) {
    refuse(405, "this takes " + std::string(methods(*match.allowed)), methods(*match.allowed));
  } else {
    refuse(404, "there is " + describe_routes(server_.routes(), server_.scope()));
  }
}

void AdminConnection::serve_route(const AdminRoute& route, AdminRequest request) {
  if (route.method == Method::kPost && !consents()) {
    refuse(403, "a POST needs the field Penstock-Admin: 1, which no web page can send");
    return;
  }
  if (has_large_body()) {
    refuse(413, "no body is needed, and none above 4096 bytes is taken");
    return;
  }
  if (route.within != Duration::zero()) deadline_.arm(server_.loop().now() + route.within);
  awaited_ = &route;
  route.serve(request, [weak = std::weak_ptr(self_)](const AdminReply& reply) {
    if (const auto self = weak.lock()) (*self)->answer(reply);
  });
}

bool AdminConnection::is_own_host() const {
  const SocketAddress& local = server_.local_address();
  if (local.family() == AF_UNIX) return true;
  const Field* host = request_.fields.find(FieldId::kHost);
  Authority authority;
  if (host == nullptr || parse_authority(host->value, authority)) return false;
  if (authority.port && *authority.port != local.port()) return false;
  return authority.host == "localhost" || authority.host == local.ip();
}

// Fetch Metadata: another site may lead the user here by a link, and learns nothing from that. What
// it would fetch, embed or frame is refused.
bool AdminConnection::is_of_web_page() const {
  if (request_.fields.contains(FieldId::kOrigin)) return true;
  const Field* site = request_.fields.find(FieldId::kSecFetchSite);
  if (site == nullptr || site->value == "none" || site->value == "same-origin") return false;
  return !has("Sec-Fetch-Mode", "navigate") || !has("Sec-Fetch-Dest", "document");
}

bool AdminConnection::has(std::string_view name, std::string_view value) const {
  const Field* field = request_.fields.find(name);
  return field != nullptr && field->value == value;
}

bool AdminConnection::consents() const { return has(kConsent, "1"); }

bool AdminConnection::has_large_body() const {
  const BodyFraming& framing = request_.framing;
  return framing.kind != FramingKind::kNone &&
         (framing.kind != FramingKind::kLength || framing.length > kMaxBodyBytes);
}

// `allow`: the methods that a 405 names.
void AdminConnection::answer(const AdminReply& reply, std::string_view allow) {
  if (answered_) return;
  answered_ = true;
  awaited_ = nullptr;
  const std::string head = head_of(reply, allow);
  output_.set_max_bytes(head.size() + reply.body.size());
  output_.append(head);
  if (request_.method != Method::kHead) output_.append(reply.body);
  on_writable();
}

void AdminConnection::refuse(int status, std::string_view why, std::string_view allow) {
  answer({.status = status, .body = std::string(why) + '\n'}, allow);
}

}  // namespace penstock
