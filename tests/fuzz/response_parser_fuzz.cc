// Any bytes: no fault of memory, the same events however cut, and an end of the stream is an end
// of the message only where its framing says so.
#include "fuzz/check.h"
#include "fuzz/pieces.h"
#include "unit/http/driver.h"

namespace penstock::fuzz {
namespace {

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

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const fuzz::Plan plan = fuzz::make_plan(data, size);
  const Method method = plan.choice % 4 == 0 ? Method::kHead : Method::kGet;
  fuzz::check_end(plan, method);
  const test::Outcome whole = test::run_response(plan.bytes, method, plan.limits);
  const test::Outcome cut = test::run_response(plan.bytes, method, plan.limits, plan.cuts);
  FUZZ_CHECK(whole.log == cut.log);
  FUZZ_CHECK(whole.body == cut.body);
  return 0;
}
