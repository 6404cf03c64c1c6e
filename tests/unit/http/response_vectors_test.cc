// Every rule about responses, accepted and refused, however the bytes are cut.
#include "vectors_check.h"

namespace penstock::test {
namespace {

Outcome run(std::string_view bytes, const Vector& vector, const std::vector<std::size_t>& cuts) {
  return run_response(bytes, vector.method, {}, cuts);
}

TEST(ResponseVectors, AreTakenOrRefusedAsTheRulesSay) {
  for (const Vector& vector : response_vectors()) {
    SCOPED_TRACE(vector.rule);
    if (vector.status == 0) {
      expect_accepted(vector, "HTTP/1.", run);
    } else {
      expect_refused(vector, run);
    }
  }
}

TEST(ResponseVectors, NeedMoreThanLlhttp) {
  EXPECT_GT(count_where_llhttp_differs(response_vectors(), HTTP_RESPONSE), 0u);
}

}  // namespace
}  // namespace penstock::test
