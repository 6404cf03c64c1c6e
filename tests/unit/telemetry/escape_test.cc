// Whatever bytes come in, a JSON parser takes the line, and text lines stay one word of ASCII.
#include "telemetry/escape.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace penstock {
namespace {

using namespace std::string_literals;

// Exactly as large as promised, so that a sanitizer sees one byte too many, and shows them too.
template <char* (*kWrite)(char*, std::string_view)>
std::string escaped(std::string_view text) {
  const std::size_t room = text.size() * kMaxEscapedBytes;
  const auto out = std::make_unique<char[]>(room + 1);
  const auto in = std::make_unique<char[]>(text.size());
  std::copy(text.begin(), text.end(), in.get());
  const char* const end = kWrite(out.get(), {in.get(), text.size()});
  return {out.get(), static_cast<std::size_t>(end - out.get())};
}

std::string json(std::string_view text) { return escaped<write_json_escaped>(text); }
std::string text(std::string_view bytes) { return escaped<write_text_escaped>(bytes); }
std::string html(std::string_view bytes) { return escaped<write_html_escaped>(bytes); }

struct Case {
  std::string in;
  std::string out;
};

TEST(JsonEscape, WritesEachKindOfByteAsExpected) {
  const Case cases[] = {
      {"", ""},
      {"/v1/items", "/v1/items"},
      {"exactly8", "exactly8"},
      {"a longer text of several words", "a longer text of several words"},
      {"say \"hi\"", R"(say \"hi\")"},
      {"C:\\x", R"(C:\\x)"},
      {"a\nb\rc\td", R"(a\nb\rc\td)"},
      {"\0\x01\x1f"s, R"(\u0000\u0001\u001f)"},
      {"\x7f", R"(\u007f)"},
      {"gr\xc3\xbc\xc3\x9f"s, "gr\xc3\xbc\xc3\x9f"},
      {"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xff\xfe", R"(\u00ff\u00fe)"},
      {"\xc3", R"(\u00c3)"},
      {"\xc0\xaf", R"(\u00c0\u00af)"},
      {"\xe0\x80\x80", R"(\u00e0\u0080\u0080)"},
      {"\xed\xa0\x80", R"(\u00ed\u00a0\u0080)"},
      {"\xf4\x90\x80\x80", R"(\u00f4\u0090\u0080\u0080)"},
      {"\xf0\x9f\x98", R"(\u00f0\u009f\u0098)"},
      {"\xe2(\xa1", R"(\u00e2(\u00a1)"},
  };
  for (const Case& each : cases) EXPECT_EQ(json(each.in), each.out);
}

TEST(JsonEscape, FindsASpecialByteAtEveryPlaceOfAWord) {
  for (const char special : {'"', '\\', '\n', '\0', '\x1f', '\x7f', '\x80', '\xff'}) {
    for (std::size_t length = 1; length <= 24; ++length) {
      for (std::size_t place = 0; place < length; ++place) {
        std::string in(length, 'a');
        in[place] = special;
        std::string out(length - 1, 'a');
        out.insert(place, json({&special, 1}));
        ASSERT_GT(out.size(), in.size());
        ASSERT_EQ(json(in), out);
      }
    }
  }
}

TEST(JsonEscape, LeavesEveryPrintableAsciiByteAlone) {
  for (char c = 0x20; c < 0x7f; ++c) {
    if (c == '"' || c == '\\') continue;
    EXPECT_EQ(json(std::string(9, c)), std::string(9, c));
  }
}

TEST(JsonEscape, RandomBytesAlwaysParse) {
  std::mt19937 random(20'261'122);
  for (int round = 0; round < 20'000; ++round) {
    std::string in(random() % 40, '\0');
    // Half of the rounds are mostly plain, so that the fast way and its leaving are met too.
    for (char& c : in) c = static_cast<char>(round % 2 == 0 || random() % 8 == 0 ? random() : 'x');
    const std::string line = "\"" + json(in) + "\"";
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;
  }
}

TEST(JsonEscape, ValidUtf8ComesBackAsItWas) {
  std::mt19937 random(7);
  for (int round = 0; round < 5'000; ++round) {
    std::string in;
    for (int i = 0; i < 12; ++i) {
      const unsigned kind = random() % 3;
      const char tail = static_cast<char>(0x80 + random() % 64);
      if (kind == 0) in += static_cast<char>(random() % 128);
      if (kind == 1) in += {static_cast<char>(0xc2 + random() % 30), tail};
      if (kind == 2) in += {static_cast<char>(0xe1 + random() % 12), tail, tail};
    }
    ASSERT_EQ(nlohmann::json::parse("\"" + json(in) + "\"").get<std::string>(), in);
  }
}

TEST(TextEscape, LeavesNothingThatCouldForgeALineOrATerminalSequence) {
  EXPECT_EQ(text("/a?b=c\"d"), "/a?b=c\"d");
  EXPECT_EQ(text("a b\n\x1b[31m\\\x7f\xc2\x9b"), R"(a\x20b\x0a\x1b[31m\x5c\x7f\xc2\x9b)");
  for (int c = 0; c < 256; ++c) {
    const std::string out = text(std::string(1, static_cast<char>(c)));
    EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](char o) { return o > ' ' && o < 0x7f; }));
  }
}

TEST(HtmlEscape, LeavesNothingThatMarkupIsMadeOf) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    for (const char c : html(bytes)) {
      EXPECT_EQ(std::string_view("<>\"'").find(c), std::string_view::npos) << bytes;
      EXPECT_FALSE((c >= 0 && c < 0x20) || c == 0x7f) << bytes;
    }
  }
}

TEST(HtmlEscape, ReplacesEachAmpersand) { EXPECT_EQ(html("&&lt;"), "&amp;&amp;lt;"); }

}  // namespace
}  // namespace penstock
