// One rule of HTTP/1.1 a line: bytes, and whether they are a message.
//
// Accepted vectors are followed by the bytes "NEXT" when they are run, which must be left alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace penstock::test {

struct Vector {
  std::string_view rule;  // RFC section and what is tried
  std::string bytes;
  int status = 0;  // 0: accepted
  // The events of an accepted message, see driver.h; of a refused one a part of the reason.
  std::string_view expected{};
  ErrorCode code = ErrorCode::kHttpRequestError;  // of a refusal
  Method method = Method::kGet;                   // what a response answers
};

const std::vector<Vector>& request_vectors();
const std::vector<Vector>& response_vectors();

}  // namespace penstock::test
