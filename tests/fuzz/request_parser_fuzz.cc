// Any bytes as requests: no fault of memory, the same events however cut, nothing unclean in what
// is accepted, and llhttp reads the same message in it.
#include "fuzz/agreement.h"
#include "fuzz/llhttp_reading.h"

namespace penstock::fuzz {
namespace {

void check_clean(const FieldList& fields) {
  for (const Field& field : fields) {
    FUZZ_CHECK(chars::is_token(field.name));
    for (char c : field.value) FUZZ_CHECK(chars::is_text(c));
    FUZZ_CHECK(field.value == chars::trim(field.value));
  }
}

void check_head(const RequestHead& head, const ParseLimits& limits) {
  FUZZ_CHECK(head.head_bytes <= limits.max_head_bytes);
  FUZZ_CHECK(head.fields.size() <= limits.max_fields);
  FUZZ_CHECK(head.framing.kind != FramingKind::kUntilClose);
  check_clean(head.fields);
}

void check_with_llhttp(std::string_view message, const RequestHead& head, std::string_view body) {
  if (!llhttp_reads(message, head)) return;
  const LlhttpReading reading = read_with_llhttp(HTTP_REQUEST, message, false);
  FUZZ_CHECK(reading.start == head.target);
  // Behind CONNECT and an offered upgrade llhttp leaves the rest to others.
  const bool upgrades = head.method == Method::kConnect || head.fields.contains(FieldId::kUpgrade);
  if (upgrades && reading.consumed != message.size()) return;
  FUZZ_CHECK(reading.whole && reading.consumed == message.size());
  FUZZ_CHECK(reading.body == body);
  check_lines(reading, head);
}

void check_piece(std::string_view in, const ParseStep& step) {
  FUZZ_CHECK(step.consumed <= in.size());
  if (step.body.empty()) return;
  FUZZ_CHECK(step.body.data() >= in.data());
  FUZZ_CHECK(step.body.data() + step.body.size() == in.data() + step.consumed);
}

// Event by event, with the promises of the header checked on the way.
void check_events(const Plan& plan) {
  RequestParser parser(plan.limits);
  RequestHead head;
  std::size_t begin = 0;
  std::string body;
  for (std::size_t at = 0;;) {
    const std::string_view in = plan.bytes.substr(at);
    const ParseStep step = parser.next(in, head);
    check_piece(in, step);
    at += step.consumed;
    body += step.body;
    if (step.event == ParseEvent::kHead) check_head(head, plan.limits);
    if (step.event == ParseEvent::kFault) FUZZ_CHECK(parser.fault().status >= 400);
    if (step.event == ParseEvent::kFault || step.event == ParseEvent::kNeedMore) return;
    if (step.event != ParseEvent::kEnd) continue;
    check_clean(head.trailers);
    check_with_llhttp(plan.bytes.substr(begin, at - begin), head, body);
    begin = at;
    body.clear();
  }
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const fuzz::Plan plan = fuzz::make_plan(data, size);
  fuzz::check_events(plan);
  fuzz::check_the_same_however_cut(plan, [&](const std::vector<std::size_t>& cuts) {
    return test::run_request(plan.bytes, plan.limits, cuts);
  });
  return 0;
}
