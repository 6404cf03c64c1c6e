// What the writer makes of an accepted message is, read by the strict reader and parsed again by
// our own parser, one message that says the same, and not a byte follows: nothing that a sender
// chose can make the next hop see another message than we did.
#include <algorithm>
#include <optional>

#include "fuzz/check.h"
#include "fuzz/pieces.h"
#include "fuzz/strict_reader.h"
#include "http/writer.h"
#include "unit/http/driver.h"

namespace penstock::fuzz {
namespace {

constexpr std::string_view kPseudonym = "penstock-00000000";
// More room than the first parse: we add fields of our own.
constexpr ParseLimits kRoomy{.max_head_bytes = 1024 * 1024, .max_fields = 2000};

template <typename Head>
struct Message {
  Head head;
  std::string body;
  std::size_t consumed = 0;
};

// False unless `in` begins with a whole message.
template <typename Parser, typename Head>
bool read_message(Parser& parser, std::string_view in, Message<Head>& message) {
  while (true) {
    const ParseStep step = parser.next(in.substr(message.consumed), message.head);
    message.consumed += step.consumed;
    message.body += step.body;
    if (step.event == ParseEvent::kEnd) return true;
    if (step.event == ParseEvent::kFault) return false;
    if (step.event != ParseEvent::kNeedMore) continue;
    // The end of the stream is an end, too.
    if constexpr (std::is_same_v<Parser, ResponseParser>) {
      return parser.finish(message.head).event == ParseEvent::kEnd;
    }
    return false;
  }
}

void write_body(const MessageHead& head, FramingKind kind, const std::string& body, Buffer& out) {
  if (kind != FramingKind::kChunked) return out.append(body);
  if (!body.empty()) {
    char space[18];
    out.append(format_chunk_line(body.size(), space));
    out.append(body);
    out.append(kChunkEnd);
  }
  write_last_chunk(head, true, out);
}

using Lines = std::vector<std::pair<std::string, std::string>>;

Lines lines_of(const FieldList& fields) {
  Lines lines;
  for (const Field& field : fields) lines.emplace_back(field.name, field.value);
  return lines;
}

// Of the fields that nobody between the ends has a say in.
Lines end_to_end(const Lines& lines) {
  Lines kept;
  for (const auto& line : lines) {
    if (identify_field(line.first) == FieldId::kOther && lower_case(line.first) != "server-timing")
      kept.push_back(line);
  }
  return kept;
}

// Nothing appears, nothing moves; and nothing vanishes unless Connection may have named it.
void check_fields(const FieldList& before, const Lines& after) {
  const Lines old_lines = end_to_end(lines_of(before));
  const Lines new_lines = end_to_end(after);
  if (!before.contains(FieldId::kConnection)) {
    FUZZ_CHECK(old_lines == new_lines);
    return;
  }
  auto at = old_lines.begin();
  for (const auto& line : new_lines) {
    at = std::find(at, old_lines.end(), line);
    FUZZ_CHECK(at != old_lines.end());
    ++at;
  }
}

// RFC 9110 section 6.5.1: none that frames, routes or authenticates.
void check_trailers(const FieldList& before, const Lines& after) {
  const Lines sent = lines_of(before);
  for (const auto& line : after) {
    FUZZ_CHECK(std::find(sent.begin(), sent.end(), line) != sent.end());
    const std::string name = lower_case(line.first);
    FUZZ_CHECK(!name.starts_with("content-") && !name.starts_with("x-forwarded-"));
    for (const char* refused : {"via", "te", "cookie", "set-cookie", "authorization", "location"}) {
      FUZZ_CHECK(name != refused);
    }
  }
}

void check_strictly(const StrictReading& read, std::string_view sent, const MessageHead& head,
                    std::string_view body) {
  if (read.verdict != StrictReading::Verdict::kWhole) {
    std::fprintf(stderr, "the strict reader: %s\n", read.complaint.c_str());
  }
  FUZZ_CHECK(read.verdict == StrictReading::Verdict::kWhole);
  FUZZ_CHECK(read.consumed == sent.size());
  FUZZ_CHECK(read.message.body == body);
  check_fields(head.fields, read.message.fields);
  check_trailers(head.trailers, read.message.trailers);
}

// The bits of the plan's choice, as an exchange may come to set them.
RequestRewrite request_rewrite(const RequestHead& head, unsigned choice) {
  RequestRewrite rewrite{.path_and_query = "/p?q",
                         .host = "host.example:81",
                         .via = kPseudonym,
                         .framing = head.framing};
  if ((choice & 1) != 0) rewrite.upgrade = "websocket";
  rewrite.close = (choice & 2) != 0;
  rewrite.expect_continue = (choice & 4) != 0;
  if ((choice & 8) != 0) rewrite.max_forwards = choice;
  if ((choice & 16) != 0) rewrite.grpc_timeout = "99999999S";
  return rewrite;
}

void check_request(const Plan& plan, BlockPool& pool) {
  RequestParser parser(plan.limits);
  Message<RequestHead> received;
  if (!read_message(parser, plan.bytes, received)) return;
  const RequestRewrite rewrite = request_rewrite(received.head, plan.choice);
  Buffer out(pool, 1024 * 1024);
  write_request_head(received.head, rewrite, out);
  write_body(received.head, received.head.framing.kind, received.body, out);

  const StrictReading strict = read_strictly_as_request(out.readable());
  check_strictly(strict, out.readable(), received.head, received.body);
  FUZZ_CHECK(strict.message.method == received.head.method_name);
  FUZZ_CHECK(strict.message.target == rewrite.path_and_query);

  RequestParser next_hop(kRoomy);
  Message<RequestHead> seen;
  FUZZ_CHECK(read_message(next_hop, out.readable(), seen));
  FUZZ_CHECK(seen.consumed == out.size() && seen.body == received.body);
  FUZZ_CHECK(seen.head.method_name == received.head.method_name);
  FUZZ_CHECK(seen.head.version == HttpVersion::k11);
  FUZZ_CHECK(seen.head.framing == received.head.framing);
  FUZZ_CHECK(seen.head.keep_alive == !rewrite.close);
  FUZZ_CHECK(seen.head.fields.find(FieldId::kHost)->value == rewrite.host);
}

ResponseRewrite response_rewrite(const ResponseHead& head, unsigned choice, bool to_head) {
  ResponseRewrite rewrite{.framing = head.framing, .via = kPseudonym, .date = "now"};
  rewrite.keep_length_field = to_head || head.status == 304;
  if ((choice & 1) != 0) rewrite.client_version = HttpVersion::k10;
  if ((choice & 2) != 0) rewrite.keep_alive_seconds = 600;
  rewrite.keep_alive = (choice & 4) == 0;
  rewrite.strip_secure = (choice & 8) != 0;
  if ((choice & 16) != 0) rewrite.location = "http://h/";
  if ((choice & 32) != 0) rewrite.server_timing = "total;dur=1";
  // As Exchange::downstream_framing() has it.
  const bool streamed =
      head.framing.kind == FramingKind::kChunked || head.framing.kind == FramingKind::kUntilClose;
  const bool old_client = rewrite.client_version == HttpVersion::k10;
  if (streamed)
    rewrite.framing = {old_client ? FramingKind::kUntilClose : FramingKind::kChunked, 0};
  return rewrite;
}

void check_response(const Plan& plan, Method method, BlockPool& pool) {
  ResponseParser parser(plan.limits);
  parser.start(method, plan.limits);
  Message<ResponseHead> received;
  if (!read_message(parser, plan.bytes, received)) return;
  const bool to_head = method == Method::kHead;
  const ResponseRewrite rewrite = response_rewrite(received.head, plan.choice, to_head);
  if (received.head.informational() && rewrite.client_version == HttpVersion::k10) return;
  Buffer out(pool, 1024 * 1024);
  write_response_head(received.head, rewrite, out);
  write_body(received.head, rewrite.framing.kind, received.body, out);

  const StrictReading strict = read_strictly_as_response(out.readable(), to_head ? "HEAD" : "GET");
  check_strictly(strict, out.readable(), received.head, received.body);
  FUZZ_CHECK(strict.message.status == received.head.status);
  FUZZ_CHECK(strict.message.reason == received.head.reason);

  ResponseParser next_hop(kRoomy);
  next_hop.start(method, kRoomy);
  Message<ResponseHead> seen;
  FUZZ_CHECK(read_message(next_hop, out.readable(), seen));
  FUZZ_CHECK(seen.consumed == out.size() && seen.body == received.body);
  FUZZ_CHECK(seen.head.status == received.head.status);
  FUZZ_CHECK(seen.head.framing == rewrite.framing);
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size > 256 * 1024) return 0;
  const fuzz::Plan plan = fuzz::make_plan(data, size);
  BlockPool pool;
  fuzz::check_request(plan, pool);
  fuzz::check_response(plan, Method::kGet, pool);
  fuzz::check_response(plan, Method::kHead, pool);
  return 0;
}
