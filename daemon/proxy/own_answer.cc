#include "proxy/own_answer.h"

namespace penstock {

namespace {

constexpr std::string_view kMethods =
    "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT";

bool is_credential(FieldId id) {
  return id == FieldId::kAuthorization || id == FieldId::kProxyAuthorization ||
         id == FieldId::kCookie;
}

std::string reflect(const RequestHead& request) {
  std::string text;
  text.append(request.method_name).append(" ").append(request.target);
  text.append(request.version == HttpVersion::k11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (const Field& field : request.fields) {
    if (!is_credential(field.id))
      text.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  return text.append("\r\n");
}

}  // namespace

std::string format_own_answer(const RequestHead& request, bool keep_alive, std::string_view date) {
  const bool trace = request.method == Method::kTrace;
  const std::string body = trace ? reflect(request) : std::string();
  std::string out = "HTTP/1.1 200 OK\r\n";
  out.append("Date: ").append(date).append("\r\n");
  if (trace) out += "Content-Type: message/http\r\n";
  if (!trace) out.append("Allow: ").append(kMethods).append("\r\n");
  out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  if (!keep_alive) out += "Connection: close\r\n";
  return out.append("\r\n").append(body);
}

}  // namespace penstock
