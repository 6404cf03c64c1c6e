// Runs vectors whole, cut in two at every offset, and byte by byte: what is said may not depend on
// how the bytes came.
#pragma once

#include <gtest/gtest.h>
#include <llhttp.h>

#include <algorithm>
#include <iostream>

#include "driver.h"
#include "vectors.h"

namespace penstock::test {

// `run(bytes, vector, cuts)` gives a Outcome.
template <typename RunFunction>
void expect_the_same_however_cut(const Vector& vector, const std::string& bytes,
                                 const Outcome& whole, RunFunction run) {
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const Outcome cut_in_two = run(bytes, vector, {cut});
    ASSERT_EQ(cut_in_two.log, whole.log) << "cut at " << cut;
    ASSERT_EQ(cut_in_two.body, whole.body) << "cut at " << cut;
  }
  const Outcome in_bytes = run(bytes, vector, every_byte(bytes.size()));
  ASSERT_EQ(in_bytes.log, whole.log) << "byte by byte";
  ASSERT_EQ(in_bytes.body, whole.body) << "byte by byte";
}

template <typename RunFunction>
void expect_accepted(const Vector& vector, std::string_view next, RunFunction run) {
  const bool until_close = vector.expected.find("until close") != std::string_view::npos;
  const std::string bytes = vector.bytes + (until_close ? "" : std::string(next));
  const Outcome whole = run(bytes, vector, {});
  EXPECT_EQ(whole.fault.status, 0) << whole.fault.reason;
  EXPECT_NE(whole.log.find(vector.expected), std::string::npos) << whole.log;
  EXPECT_EQ(whole.ends, whole.heads - (until_close ? 1 : 0));
  EXPECT_EQ(whole.rest, until_close ? "" : next);
  expect_the_same_however_cut(vector, bytes, whole, run);
}

template <typename RunFunction>
void expect_refused(const Vector& vector, RunFunction run) {
  const Outcome whole = run(vector.bytes, vector, {});
  EXPECT_EQ(whole.fault.status, vector.status) << whole.log;
  EXPECT_EQ(whole.fault.code, vector.code);
  EXPECT_NE(whole.fault.reason.find(vector.expected), std::string_view::npos) << whole.fault.reason;
  expect_the_same_however_cut(vector, vector.bytes, whole, run);
}

inline bool llhttp_accepts(const Vector& vector, llhttp_type_t type) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_headers_complete = [](llhttp_t* parser) { return parser->data != nullptr ? 1 : 0; };
  llhttp_t parser;
  llhttp_init(&parser, type, &settings);
  int no_body = 0;
  parser.data = vector.method == Method::kHead ? &no_body : nullptr;
  const llhttp_errno_t error = llhttp_execute(&parser, vector.bytes.data(), vector.bytes.size());
  return error == HPE_OK || error == HPE_PAUSED_UPGRADE;
}

// Why the checks of our own exist.
inline std::size_t count_where_llhttp_differs(const std::vector<Vector>& vectors,
                                              llhttp_type_t type) {
  const auto differing = std::count_if(vectors.begin(), vectors.end(), [&](const Vector& vector) {
    return llhttp_accepts(vector, type) != (vector.status == 0);
  });
  std::cout << differing << " of " << vectors.size() << " vectors go wrong with llhttp alone\n";
  return static_cast<std::size_t>(differing);
}

}  // namespace penstock::test
