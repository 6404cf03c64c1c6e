// What the writer makes of an accepted message is, parsed again, one message that says the same:
// no bytes a sender chose can make the next hop see another message than we did.
#include <algorithm>

#include "fuzz/check.h"
#include "fuzz/pieces.h"
#include "http/writer.h"
#include "unit/http/driver.h"

namespace penstock::fuzz {
namespace {

// More room than the first parse: we add fields of our own.
constexpr ParseLimits kRoomy{.max_head_bytes = 1024 * 1024, .max_fields = 2000};

template <typename Head>
struct Message {
  Head head;
  std::string body;
  std::size_t consumed = 0;
};

// True when `in` begins with a whole message.
template <typename Parser, typename Head>
bool read_message(Parser& parser, std::string_view in, Message<Head>& message) {
  while (true) {
    const ParseStep step = parser.next(in.substr(message.consumed), message.head);
    message.consumed += step.consumed;
    message.body += step.body;
    if (step.event == ParseEvent::kEnd) return true;
    if (step.event == ParseEvent::kFault || step.event == ParseEvent::kNeedMore) return false;
  }
}

void write_body(const MessageHead& head, const std::string& body, Buffer& out) {
  if (head.framing.kind != FramingKind::kChunked) return out.append(body);
  if (!body.empty()) {
    char space[18];
    out.append(format_chunk_line(body.size(), space));
    out.append(body);
    out.append(kChunkEnd);
  }
  write_last_chunk(head, true, out);
}

std::vector<std::string> end_to_end(const FieldList& fields) {
  std::vector<std::string> lines;
  for (const Field& field : fields) {
    if (field.id != FieldId::kOther) continue;
    lines.push_back(std::string(field.name) + ": " + std::string(field.value));
  }
  return lines;
}

// Nothing appears, nothing moves; and nothing vanishes unless Connection may have named it.
void check_fields(const FieldList& before, const FieldList& after) {
  const std::vector<std::string> old_lines = end_to_end(before);
  const std::vector<std::string> new_lines = end_to_end(after);
  if (!before.contains(FieldId::kConnection)) {
    FUZZ_CHECK(old_lines == new_lines);
    return;
  }
  auto at = old_lines.begin();
  for (const std::string& line : new_lines) {
    at = std::find(at, old_lines.end(), line);
    FUZZ_CHECK(at != old_lines.end());
    ++at;
  }
}

void check_request(std::string_view in, BlockPool& pool) {
  RequestParser parser({});
  Message<RequestHead> received;
  if (!read_message(parser, in, received)) return;
  const RequestRewrite rewrite{.path_and_query = "/p?q",
                               .host = "host.example:81",
                               .via = "penstock-00000000",
                               .framing = received.head.framing};
  Buffer out(pool, 1024 * 1024);
  write_request_head(received.head, rewrite, out);
  write_body(received.head, received.body, out);

  RequestParser next_hop(kRoomy);
  Message<RequestHead> seen;
  FUZZ_CHECK(read_message(next_hop, out.readable(), seen));
  FUZZ_CHECK(seen.consumed == out.size());
  FUZZ_CHECK(seen.head.method_name == received.head.method_name);
  FUZZ_CHECK(seen.head.target == rewrite.path_and_query);
  FUZZ_CHECK(seen.head.version == HttpVersion::k11);
  FUZZ_CHECK(seen.head.framing == received.head.framing);
  FUZZ_CHECK(seen.head.keep_alive);
  FUZZ_CHECK(seen.body == received.body);
  FUZZ_CHECK(seen.head.fields.find(FieldId::kHost)->value == rewrite.host);
  check_fields(received.head.fields, seen.head.fields);
}

ResponseRewrite rewrite_for(const ResponseHead& head, bool to_head) {
  ResponseRewrite rewrite{.framing = head.framing, .via = "penstock-00000000", .date = "now"};
  rewrite.keep_length_field = to_head || head.status == 304;
  rewrite.keep_alive_seconds = 600;
  return rewrite;
}

void check_response(std::string_view in, Method method, BlockPool& pool) {
  ResponseParser parser({});
  parser.start(method, {});
  Message<ResponseHead> received;
  if (!read_message(parser, in, received)) return;
  Buffer out(pool, 1024 * 1024);
  write_response_head(received.head, rewrite_for(received.head, method == Method::kHead), out);
  write_body(received.head, received.body, out);

  ResponseParser next_hop(kRoomy);
  next_hop.start(method, kRoomy);
  Message<ResponseHead> seen;
  FUZZ_CHECK(read_message(next_hop, out.readable(), seen));
  FUZZ_CHECK(seen.consumed == out.size());
  FUZZ_CHECK(seen.head.status == received.head.status);
  FUZZ_CHECK(seen.head.reason == received.head.reason);
  FUZZ_CHECK(seen.head.framing == received.head.framing);
  FUZZ_CHECK(seen.head.keep_alive);
  FUZZ_CHECK(seen.body == received.body);
  check_fields(received.head.fields, seen.head.fields);
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size > 256 * 1024) return 0;
  const std::string_view in(reinterpret_cast<const char*>(data), size);
  BlockPool pool;
  fuzz::check_request(in, pool);
  fuzz::check_response(in, Method::kGet, pool);
  fuzz::check_response(in, Method::kHead, pool);
  return 0;
}
