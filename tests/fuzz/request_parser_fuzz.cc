// Any bytes: no fault of memory, the same events however cut, nothing unclean in what is accepted.
#include "fuzz/check.h"
#include "fuzz/pieces.h"
#include "http/chars.h"
#include "unit/http/driver.h"

namespace penstock::fuzz {
namespace {

void check_clean(const FieldList& fields) {
  for (const Field& field : fields) {
    FUZZ_CHECK(chars::is_token(field.name));
    for (char c : field.value) FUZZ_CHECK(chars::is_text(c));
    FUZZ_CHECK(field.value == chars::trim(field.value));
  }
}

// Event by event, as the driver does, with the promises of the header checked on the way.
void check_events(const Plan& plan) {
  RequestParser parser(plan.limits);
  RequestHead head;
  std::string_view in = plan.bytes;
  while (true) {
    const ParseStep step = parser.next(in, head);
    FUZZ_CHECK(step.consumed <= in.size());
    if (!step.body.empty()) {
      FUZZ_CHECK(step.body.data() >= in.data());
      FUZZ_CHECK(step.body.data() + step.body.size() == in.data() + step.consumed);
    }
    in.remove_prefix(step.consumed);
    if (step.event == ParseEvent::kHead) {
      FUZZ_CHECK(head.head_bytes <= plan.limits.max_head_bytes);
      FUZZ_CHECK(head.fields.size() <= plan.limits.max_fields);
      FUZZ_CHECK(head.framing.kind != FramingKind::kUntilClose);
      check_clean(head.fields);
    }
    if (step.event == ParseEvent::kEnd) check_clean(head.trailers);
    if (step.event == ParseEvent::kFault) FUZZ_CHECK(parser.fault().status >= 400);
    if (step.event == ParseEvent::kFault || step.event == ParseEvent::kNeedMore) return;
  }
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const fuzz::Plan plan = fuzz::make_plan(data, size);
  fuzz::check_events(plan);
  const test::Outcome whole = test::run_request(plan.bytes, plan.limits);
  const test::Outcome cut = test::run_request(plan.bytes, plan.limits, plan.cuts);
  FUZZ_CHECK(whole.log == cut.log);
  FUZZ_CHECK(whole.body == cut.body);
  return 0;
}
