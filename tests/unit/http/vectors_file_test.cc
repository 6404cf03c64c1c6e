// tests/integration/http_vectors.jsonl is what the tables of vectors make: test_vectors.py sends it
// through the real binary. With PENSTOCK_UPDATE_VECTORS set in the environment it is written anew.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "driver.h"
#include "vectors.h"

namespace penstock::test {
namespace {

// Each byte is the character of its number.
std::string to_json_string(std::string_view bytes) {
  std::string text = "\"";
  for (const char c : bytes) {
    const unsigned number = static_cast<unsigned char>(c);
    if (number < 0x20 || number > 0x7e || c == '"' || c == '\\') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", number);
      text += escape;
    } else {
      text += c;
    }
  }
  return text += '"';
}

std::string_view name_of(Method method) {
  if (method == Method::kHead) return "HEAD";
  return method == Method::kConnect ? "CONNECT" : "GET";
}

// `outcome`: how many heads and whole messages come before a fault.
std::string to_line(std::string_view direction, const Vector& vector, const Outcome& outcome) {
  std::ostringstream line;
  line << "{\"of\": \"" << direction << "\", \"rule\": " << to_json_string(vector.rule)
       << ", \"status\": " << vector.status << ", \"token\": \""
       << (vector.status == 0 ? "" : token(vector.code)) << "\", \"method\": \""
       << name_of(vector.method) << "\", \"heads\": " << outcome.heads
       << ", \"ends\": " << outcome.ends << ", \"bytes\": " << to_json_string(vector.bytes)
       << "}\n";
  return line.str();
}

std::string to_lines() {
  std::string lines;
  for (const Vector& vector : request_vectors()) {
    lines += to_line("request", vector, run_request(vector.bytes));
  }
  for (const Vector& vector : response_vectors()) {
    lines += to_line("response", vector, run_response(vector.bytes, vector.method));
  }
  return lines;
}

TEST(VectorsFile, IsWhatTheTablesMake) {
  if (std::getenv("PENSTOCK_UPDATE_VECTORS") != nullptr) {
    std::ofstream(PENSTOCK_VECTORS_FILE, std::ios::binary) << to_lines();
  }
  std::ostringstream content;
  content << std::ifstream(PENSTOCK_VECTORS_FILE, std::ios::binary).rdbuf();
  EXPECT_TRUE(content.str() == to_lines())
      << "PENSTOCK_UPDATE_VECTORS=1 http_test --gtest_filter='VectorsFile.*' writes it anew";
}

}  // namespace
}  // namespace penstock::test
