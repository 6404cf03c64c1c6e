// Which rules are ours: with LLHTTP_STRICT_MODE=0 and our own checks off, vectors of each of them
// go wrong. `http_test --gtest_filter=OwnRules.*` prints how many.
#include <gtest/gtest.h>

#include <iomanip>
#include <iostream>
#include <map>
#include <set>
#include <string>

#include "driver.h"
#include "lenient_llhttp.h"
#include "vectors.h"

namespace penstock::test {
namespace {

struct Count {
  int vectors = 0;
  int wrong = 0;  // with llhttp alone
};
// By what is said of a refusal; "" for what is accepted.
using Counts = std::map<std::string, Count>;

bool lenient_takes(const Vector& vector, bool request) {
  return lenient_llhttp_takes(request, vector.bytes.data(), vector.bytes.size(),
                              vector.method == Method::kHead);
}

Counts count() {
  Counts counts;
  const auto add = [&](const Vector& vector, const ParseFault& fault, bool request) {
    Count& count = counts[std::string(fault.reason)];
    ++count.vectors;
    count.wrong += lenient_takes(vector, request) == (vector.status == 0) ? 0 : 1;
  };
  for (const Vector& vector : request_vectors()) add(vector, run_request(vector.bytes).fault, true);
  for (const Vector& vector : response_vectors()) {
    add(vector, run_response(vector.bytes, vector.method).fault, false);
  }
  return counts;
}

void print(const Counts& counts) {
  Count total;
  for (const auto& [reason, count] : counts) {
    total.vectors += count.vectors;
    total.wrong += count.wrong;
    if (count.wrong == 0) continue;
    std::cout << std::setw(4) << count.wrong << " of " << std::setw(3) << count.vectors << "  "
              << (reason.empty() ? "accepted by us" : reason) << '\n';
  }
  std::cout << total.wrong << " of " << total.vectors
            << " vectors go wrong with llhttp alone and LLHTTP_STRICT_MODE=0\n";
}

// llhttp refuses what these vectors hold in any mode: of the first three it is llhttp that we ask,
// of the others ours are the words and the status.
const std::set<std::string> kHeldByLlhttpToo = {
    "Content-Length together with Transfer-Encoding",
    "more than one Content-Length field",
    "the method is not known",
    "TLS is spoken to a plaintext proxy port: use http:// in the proxy's address",
    "SOCKS is spoken to an HTTP proxy port: use http:// in the proxy's address",
    "a chunk size is no plain hexadecimal number",
};

TEST(OwnRules, ShowWhenLlhttpIsLeftAlone) {
  const Counts counts = count();
  print(counts);
  for (const auto& [reason, count] : counts) {
    EXPECT_EQ(count.wrong == 0, kHeldByLlhttpToo.contains(reason)) << reason;
  }
}

}  // namespace
}  // namespace penstock::test
