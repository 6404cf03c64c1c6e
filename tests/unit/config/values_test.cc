// Texts and the values they stand for, both ways.
#include "config/values.h"

#include <gtest/gtest.h>

#include <vector>

namespace penstock {
namespace {

using namespace std::chrono_literals;

TEST(Durations, AreReadExactly) {
  const std::vector<std::pair<std::string_view, Duration>> cases = {
      {"1ms", 1ms},       {"250ms", 250ms}, {"1.5s", 1500ms},         {"1m30s", 90s},
      {"1h", 1h},         {"24h", 24h},     {"1h2m3s4ms", 3723004ms}, {"0.001s", 1ms},
      {"1.25ms", 1250us}, {"90s", 90s},     {"0.5h", 30min},          {"010s", 10s},
      {"1.0000009s", 1s}, {"0h1s", 1s},
  };
  for (const auto& [text, value] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(*parsed, value) << text;
  }
}

TEST(Durations, AreWrittenShortestAndReadBackAlike) {
  const std::vector<std::pair<Duration, std::string>> cases = {
      {1ms, "1ms"}, {250ms, "250ms"},       {1500ms, "1.5s"},     {90s, "1m30s"},
      {1h, "1h"},   {24h, "24h"},           {90500ms, "1m30.5s"}, {1250us, "1.25ms"},
      {60s, "1m"},  {3600500ms, "1h500ms"},
  };
  for (const auto& [value, text] : cases) {
    EXPECT_EQ(format_duration(value), text);
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, value);
  }
}

TEST(Durations, HaveNoPartOfAMicrosecond) {
  for (const std::string_view text : {"1130m9199.264467ms", "9.1992649s", "1.0009ms"}) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed % 1us, 0us) << text;
    EXPECT_EQ(parse_duration(format_duration(*parsed)).value(), *parsed) << text;
  }
}

TEST(Limits, TakeEverySpellingOfOffThatYamlToolsMake) {
  for (const std::string_view text : {"off", "Off", "OFF", "false", "False", "no", "NO"}) {
    const auto parsed = parse_limit(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_FALSE(parsed->has_value());
  }
  EXPECT_EQ(format_limit(std::nullopt), "off");
}

TEST(Sizes, AreReadExactlyAndReadBackAlike) {
  const std::vector<std::tuple<std::string_view, std::uint64_t, std::string>> cases = {
      {"512B", 512, "512B"},     {"16KiB", 16384, "16KiB"},    {"1.5KiB", 1536, "1536B"},
      {"4MiB", 4194304, "4MiB"}, {"1GiB", 1073741824, "1GiB"}, {"0", 0, "0B"},
      {"0B", 0, "0B"},
  };
  for (const auto& [text, value, shown] : cases) {
    const auto parsed = parse_size(text, 0, kLargestSize);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error();
    EXPECT_EQ(*parsed, value);
    EXPECT_EQ(format_size(value), shown);
  }
}

TEST(Counts, AreDecimalWhateverYamlThinks) {
  EXPECT_EQ(*parse_count("0", 0, 10), 0U);
  EXPECT_EQ(*parse_count("1000000", 0, kLargestCount), 1'000'000U);
  for (const std::string_view text : {"010", "0x10", "0o10", "1_0", "1e1", "1.0", "+1", " 1", ""}) {
    EXPECT_FALSE(parse_count(text, 0, kLargestCount)) << text;
  }
}

TEST(Switches, TakeBothSpellings) {
  for (const std::string_view text : {"true", "True", "yes", "on", "ON"}) {
    EXPECT_TRUE(*parse_switch(text)) << text;
  }
  for (const std::string_view text : {"false", "no", "off", "Off"}) {
    EXPECT_FALSE(*parse_switch(text)) << text;
  }
  for (const std::string_view text : {"", "1", "0", "y", "n", "enabled"}) {
    EXPECT_FALSE(parse_switch(text).has_value()) << text;
  }
}

TEST(Shares, RunFromNoneToAll) {
  EXPECT_EQ(*parse_share("0"), 0.0);
  EXPECT_EQ(*parse_share("0.25"), 0.25);
  EXPECT_EQ(*parse_share("1.0"), 1.0);
  EXPECT_EQ(format_share(0.25), "0.25");
  EXPECT_EQ(format_share(1), "1.0");
  EXPECT_FALSE(parse_share("1.000001").has_value());
}

TEST(Quoting, ShowsNoSecrets) {
  EXPECT_EQ(in_quotes("http://me:secret@proxy:80/x"), "\"http://***@proxy:80/x\"");
  EXPECT_EQ(in_quotes("http://me:sec/r@t@proxy"), "\"http://***@proxy\"");
  EXPECT_EQ(in_quotes("-----BEGIN PRIVATE KEY-----\nMIIB"), "\"-----BEGIN ***\"");
  EXPECT_EQ(in_quotes("http://proxy:80/x"), "\"http://proxy:80/x\"");
  EXPECT_EQ(in_quotes("me@host"), "\"me@host\"");
  EXPECT_EQ(in_quotes("me:secret@proxy:80"), "\"***@proxy:80\"");
  EXPECT_EQ(in_quotes("unix:@name"), "\"unix:@name\"");
}

TEST(Quoting, ShowsControlsAndCutsBetweenCharacters) {
  EXPECT_EQ(in_quotes("a\n\x7f"), "\"a\\x0a\\x7f\"");
  const std::string long_text = std::string(79, 'x') + "\xC3\xA9 and more";
  EXPECT_EQ(in_quotes(long_text), '"' + std::string(79, 'x') + "…\"");
}

}  // namespace
}  // namespace penstock
