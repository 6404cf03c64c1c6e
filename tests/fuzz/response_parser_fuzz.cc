// Any bytes as a response: no fault of memory, the same events however cut, an end of the stream is
// an end of the message only where its framing says so, and llhttp reads the same message in it.
#include <algorithm>

#include "fuzz/agreement.h"
#include "fuzz/llhttp_reading.h"
#include "http/keep_alive.h"

namespace penstock::fuzz {
namespace {

Method method_of(const Plan& plan) {
  constexpr Method kMethods[] = {Method::kHead, Method::kGet, Method::kPost, Method::kConnect};
  return kMethods[plan.choice % 4];
}

void check_end(const Plan& plan, Method method) {
  ResponseParser parser(plan.limits);
  parser.start(method, plan.limits);
  ResponseHead head;
  std::string pending(plan.bytes);
  test::Outcome outcome;
  if (!test::take_events(parser, head, pending, outcome)) return;
  FUZZ_CHECK(head.status == 0 || (head.status >= 100 && head.status <= 599));
  const bool ended = parser.finish(head).event == ParseEvent::kEnd;
  const bool open = outcome.heads > outcome.ends;
  FUZZ_CHECK(ended == (open && head.framing.kind == FramingKind::kUntilClose));
}

// llhttp joins folded lines in a way of its own, waits for ever behind 101 and CONNECT, and knows
// no quoted chunk extensions.
bool comparable(const ResponseHead& head, std::string_view message, Method method) {
  const bool folded = message.find("\r\n ") != std::string_view::npos ||
                      message.find("\r\n\t") != std::string_view::npos;
  return !folded && llhttp_reads(message, head) && head.status != 101 &&
         method != Method::kConnect && !head.fields.contains(FieldId::kUpgrade);
}

// A parameter more can only make the promise smaller.
void check_keep_alive(const FieldList& fields) {
  const KeepAlive told = read_keep_alive(fields);
  FieldList more = fields;
  more.add("Keep-Alive", "timeout=5, max=7");
  const KeepAlive less = read_keep_alive(more);
  FUZZ_CHECK(*less.timeout_seconds == std::min(told.timeout_seconds.value_or(5), 5U));
  FUZZ_CHECK(*less.max_requests == std::min(told.max_requests.value_or(7), 7U));
}

void check_with_llhttp(std::string_view message, const ResponseHead& head, std::string_view body,
                       Method method) {
  if (!comparable(head, message, method)) return;
  // It gives a 204 the body that its fields announce, unless it is told not to.
  const bool no_body = head.framing.kind == FramingKind::kNone;
  const LlhttpReading reading = read_with_llhttp(HTTP_RESPONSE, message, no_body);
  FUZZ_CHECK(reading.whole && reading.consumed == message.size());
  FUZZ_CHECK(reading.start == head.reason);
  FUZZ_CHECK(reading.body == body);
  check_lines(reading, head);
}

// The first message that is whole.
void check_message(const Plan& plan, Method method) {
  ResponseParser parser(plan.limits);
  parser.start(method, plan.limits);
  ResponseHead head;
  std::string body;
  for (std::size_t at = 0;;) {
    const ParseStep step = parser.next(plan.bytes.substr(at), head);
    FUZZ_CHECK(step.consumed <= plan.bytes.size() - at);
    at += step.consumed;
    body += step.body;
    if (step.event == ParseEvent::kHead) check_keep_alive(head.fields);
    if (step.event == ParseEvent::kEnd) {
      check_with_llhttp(plan.bytes.substr(0, at), head, body, method);
      return;
    }
    if (step.event == ParseEvent::kFault || step.event == ParseEvent::kNeedMore) return;
  }
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const fuzz::Plan plan = fuzz::make_plan(data, size);
  const Method method = fuzz::method_of(plan);
  fuzz::check_end(plan, method);
  fuzz::check_message(plan, method);
  fuzz::check_the_same_however_cut(plan, [&](const std::vector<std::size_t>& cuts) {
    return test::run_response(plan.bytes, method, plan.limits, cuts);
  });
  return 0;
}
