// Every rule about requests, accepted and refused, however the bytes are cut.
#include "vectors_check.h"

namespace penstock::test {
namespace {

Outcome run(std::string_view bytes, const Vector&, const std::vector<std::size_t>& cuts) {
  return run_request(bytes, {}, cuts);
}

TEST(RequestVectors, AreTakenOrRefusedAsTheRulesSay) {
  for (const Vector& vector : request_vectors()) {
    SCOPED_TRACE(vector.rule);
    if (vector.status == 0) {
      expect_accepted(vector, "NEXT", run);
    } else {
      expect_refused(vector, run);
    }
  }
}

TEST(RequestVectors, NeedMoreThanLlhttp) {
  EXPECT_GT(count_where_llhttp_differs(request_vectors(), HTTP_REQUEST), 0u);
}

}  // namespace
}  // namespace penstock::test
