#include "http/writer.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <utility>

#include "http/chars.h"
#include "http/passage.h"

namespace penstock {

namespace {

constexpr std::string_view kVersion = "HTTP/1.1";
constexpr std::string_view kEnd = "\r\n";
// All that a writer may add in words of its own, numbers included.
constexpr std::size_t kOwnWords = 256;

// Appends into room that was asked for beforehand, so that each piece is one copy.
class Pen {
 public:
  Pen(Buffer& out, std::size_t bound) : out_(out), bound_(bound) {
    const std::span<char> space = out.prepare(bound);
    assert(space.size() >= bound);
    start_ = at_ = space.data();
  }
  Pen(const Pen&) = delete;
  Pen& operator=(const Pen&) = delete;
  ~Pen() {
    assert(written() <= bound_);
    out_.commit(written());
  }

  Pen& operator<<(std::string_view text) {
    at_ += text.copy(at_, text.size());
    return *this;
  }
  Pen& operator<<(char c) {
    *at_++ = c;
    return *this;
  }
  Pen& operator<<(std::uint64_t number) {
    at_ = std::to_chars(at_, at_ + 20, number).ptr;
    return *this;
  }
  void field(std::string_view name, std::string_view value) {
    *this << name << ": " << value << kEnd;
  }

 private:
  std::size_t written() const { return static_cast<std::size_t>(at_ - start_); }

  Buffer& out_;
  const std::size_t bound_;
  char* start_;
  char* at_;
};

std::size_t fields_bound(const FieldList& fields) {
  std::size_t bytes = 0;
  for (const Field& field : fields) bytes += field.name.size() + field.value.size() + 4;
  return bytes;
}

void write_framing(const BodyFraming& framing, Pen& pen) {
  switch (framing.kind) {
    case FramingKind::kLength:
      pen << "Content-Length: " << framing.length << kEnd;
      break;
    case FramingKind::kChunked:
      pen << "Transfer-Encoding: chunked\r\n";
      break;
    case FramingKind::kNone:
    case FramingKind::kUntilClose:
      break;
  }
}

// RFC 9110 section 7.6.3: the version is that of the message received.
void write_via(HttpVersion received, std::string_view pseudonym, Pen& pen) {
  if (pseudonym.empty()) return;
  pen << (received == HttpVersion::k11 ? "Via: 1.1 " : "Via: 1.0 ") << pseudonym << kEnd;
}

bool asks_for_trailers(const FieldList& fields) {
  if (!fields.contains(FieldId::kTe)) return false;
  for (const Field& field : fields) {
    if (field.id == FieldId::kTe && list_contains(field.value, "trailers")) return true;
  }
  return false;
}

// TE and Upgrade are for one hop, hence named in Connection (RFC 9110 sections 10.1.4 and 7.8).
void write_request_connection(bool trailers, const RequestRewrite& rewrite, Pen& pen) {
  if (trailers) pen << "TE: trailers\r\n";
  if (!rewrite.upgrade.empty()) pen.field("Upgrade", rewrite.upgrade);
  std::string_view separator = "Connection: ";
  const auto option = [&](bool wanted, std::string_view name) {
    if (!wanted) return;
    pen << separator << name;
    separator = ", ";
  };
  option(trailers, "TE");
  option(!rewrite.upgrade.empty(), "upgrade");
  option(rewrite.close, "close");
  if (separator == ", ") pen << kEnd;
}

// RFC 9112 section 9.3: a client that speaks 1.0, or that learns the end of the body by the end of
// the connection, is told to expect no more.
bool closes(const ResponseRewrite& rewrite) {
  return !rewrite.keep_alive || rewrite.client_version == HttpVersion::k10 ||
         rewrite.framing.kind == FramingKind::kUntilClose;
}

void write_response_connection(const ResponseRewrite& rewrite, Pen& pen) {
  if (closes(rewrite)) {
    pen << "Connection: close\r\n";
  } else if (rewrite.keep_alive_seconds != 0) {
    pen << "Connection: keep-alive\r\nKeep-Alive: timeout="
        << std::uint64_t{rewrite.keep_alive_seconds} << kEnd;
  }
}

// The fields of a message on their way through. Lines that pass as they came are gathered while
// each begins where the one before ended, so that most heads leave in two or three copies.
class PassingFields {
 public:
  explicit PassingFields(Pen& pen) : pen_(pen) {}
  PassingFields(const PassingFields&) = delete;
  PassingFields& operator=(const PassingFields&) = delete;
  ~PassingFields() { write_gathered(); }

  void pass(const Field& field) {
    if (!field.as_written) {
      pen().field(field.name, field.value);
      return;
    }
    const std::string_view line = field.line();
    if (line.data() != gathered_.data() + gathered_.size()) write_gathered();
    gathered_ = gathered_.empty()
                    ? line
                    : std::string_view(gathered_.data(), gathered_.size() + line.size());
  }
  // For what goes in a field's place.
  Pen& pen() {
    write_gathered();
    return pen_;
  }

 private:
  void write_gathered() { pen_ << std::exchange(gathered_, {}); }

  Pen& pen_;
  std::string_view gathered_;
};

template <bool passes(FieldId, bool), typename WriteField>
void write_passing_fields(const FieldList& fields, bool chunked, Pen& pen, WriteField&& write) {
  const Nominations nominations(fields);
  PassingFields passing(pen);
  for (const Field& field : fields) {
    if (passes(field.id, chunked) && !nominations.remove(field)) write(field, passing);
  }
}

void write_request_field(const Field& field, const RequestRewrite& rewrite, PassingFields& to) {
  if (field.id == FieldId::kMaxForwards && rewrite.max_forwards) {
    to.pen() << field.name << ": " << *rewrite.max_forwards << kEnd;
  } else if (field.id == FieldId::kGrpcTimeout && !rewrite.grpc_timeout.empty()) {
    to.pen().field(field.name, rewrite.grpc_timeout);
  } else if (rewrite.left_out.empty() || !equals_ignoring_case(field.name, rewrite.left_out)) {
    to.pass(field);
  }
}

void write_without_secure(const Field& cookie, Pen& pen) {
  pen << cookie.name << ": ";
  std::string_view rest = cookie.value;
  for (bool first = true; !rest.empty(); first = false) {
    const std::string_view part = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    const bool secure = !first && equals_ignoring_case(chars::trim(part), "secure");
    if (secure) continue;
    if (!first) pen << ';';
    pen << part.substr(0, part.find_last_not_of(" \t") + 1);  // it may be the last one now
  }
  pen << kEnd;
}

void write_response_field(const Field& field, const ResponseRewrite& rewrite, PassingFields& to) {
  if (field.id == FieldId::kLocation && !rewrite.location.empty()) {
    to.pen().field(field.name, rewrite.location);
  } else if (field.id == FieldId::kSetCookie && rewrite.strip_secure) {
    write_without_secure(field, to.pen());
  } else {
    to.pass(field);
  }
}

void write_kept_length(const FieldList& fields, Pen& pen) {
  const Field* length = fields.find(FieldId::kContentLength);
  if (length != nullptr) pen.field(length->name, length->value);
}

}  // namespace

std::size_t request_head_bound(const RequestHead& head, const RequestRewrite& rewrite) {
  return head.method_name.size() + rewrite.path_and_query.size() + rewrite.host.size() +
         rewrite.via.size() + rewrite.upgrade.size() + rewrite.grpc_timeout.size() +
         fields_bound(head.fields) + kOwnWords;
}

std::size_t response_head_bound(const ResponseHead& head, const ResponseRewrite& rewrite) {
  return head.reason.size() + rewrite.via.size() + rewrite.date.size() + rewrite.upgrade.size() +
         rewrite.location.size() + rewrite.server_timing.size() + fields_bound(head.fields) +
         kOwnWords;
}

void write_request_head(const RequestHead& head, const RequestRewrite& rewrite, Buffer& out) {
  assert(rewrite.framing.kind != FramingKind::kUntilClose);
  const bool chunked = rewrite.framing.kind == FramingKind::kChunked;
  Pen pen(out, request_head_bound(head, rewrite));
  pen << head.method_name << ' ';
  if (rewrite.add_slash) pen << '/';
  pen << rewrite.path_and_query << ' ' << kVersion << kEnd;
  pen.field("Host", rewrite.host);
  write_passing_fields<passes_in_request>(
      head.fields, chunked, pen,
      [&](const Field& field, PassingFields& to) { write_request_field(field, rewrite, to); });
  write_framing(rewrite.framing, pen);
  if (rewrite.expect_continue) pen << "Expect: 100-continue\r\n";
  write_request_connection(asks_for_trailers(head.fields), rewrite, pen);
  write_via(head.version, rewrite.via, pen);
  pen << kEnd;
}

void write_response_head(const ResponseHead& head, const ResponseRewrite& rewrite, Buffer& out) {
  const bool chunked = rewrite.framing.kind == FramingKind::kChunked;
  assert(!chunked || rewrite.client_version == HttpVersion::k11);
  Pen pen(out, response_head_bound(head, rewrite));
  pen << kVersion << ' ' << std::uint64_t{head.status} << ' ' << head.reason << kEnd;
  write_passing_fields<passes_in_response>(
      head.fields, chunked, pen,
      [&](const Field& field, PassingFields& to) { write_response_field(field, rewrite, to); });
  write_framing(rewrite.framing, pen);
  if (rewrite.keep_length_field) write_kept_length(head.fields, pen);
  if (!rewrite.server_timing.empty()) pen.field("Server-Timing", rewrite.server_timing);
  // An interim response says nothing about the connection, nor when the answer was made.
  if (!head.informational()) {
    write_response_connection(rewrite, pen);
    if (!rewrite.date.empty() && !head.fields.contains(FieldId::kDate)) {
      pen.field("Date", rewrite.date);
    }
  }
  if (!rewrite.upgrade.empty()) {
    pen.field("Upgrade", rewrite.upgrade);
    pen << "Connection: upgrade\r\n";
  }
  write_via(head.version, rewrite.via, pen);
  pen << kEnd;
}

std::string_view format_chunk_line(std::uint64_t bytes, char (&space)[18]) {
  char* end = std::to_chars(space, space + 16, bytes, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return {space, static_cast<std::size_t>(end - space)};
}

std::size_t last_chunk_bound(const MessageHead& head) {
  return fields_bound(head.trailers) + sizeof("0\r\n\r\n");
}

void write_last_chunk(const MessageHead& head, bool with_trailers, Buffer& out) {
  Pen pen(out, last_chunk_bound(head));
  pen << "0\r\n";
  if (with_trailers) {
    const Nominations nominations(head.fields);
    for (const Field& field : head.trailers) {
      if (may_be_trailer(field) && !nominations.remove(field)) pen.field(field.name, field.value);
    }
  }
  pen << kEnd;
}

}  // namespace penstock
