// What the processes of a takeover say to each other: read back as it was said, and nonsense.
#include "server/takeover_words.h"

#include <gtest/gtest.h>

#include <random>

namespace penstock {
namespace {

TEST(TakeoverWords, AreReadAsTheyWereSaid) {
  EXPECT_EQ(parse_takeover(say_hello())->version, kTakeoverVersion);
  const auto sockets = parse_takeover(say_sockets({HandedKind::kPublicAdmin, "unix:/a \"b\\", {}}));
  EXPECT_EQ(sockets->kind, HandedKind::kPublicAdmin);
  EXPECT_EQ(sockets->address, "unix:/a \"b\\");
  const auto end = parse_takeover(say_end({.notify_socket = "@name", .watchdog_usec = 30'000'000}));
  EXPECT_TRUE(end->end);
  EXPECT_EQ(end->manager.notify_socket, "@name");
  EXPECT_EQ(end->manager.watchdog_usec, 30'000'000U);
  const auto ready = parse_takeover(say_ready({0, 2, 5}));
  EXPECT_TRUE(ready->ready);
  EXPECT_EQ(ready->kept, (std::vector<std::size_t>{0, 2, 5}));
  EXPECT_TRUE(parse_takeover(say_drains())->drains);
  EXPECT_EQ(parse_takeover(say_error("line\nline"))->error, "line\nline");
}

TEST(TakeoverWords, EveryKindHasItsName) {
  for (const HandedKind kind : {HandedKind::kListener, HandedKind::kAdmin, HandedKind::kPublicAdmin,
                                HandedKind::kTakeover}) {
    EXPECT_EQ(parse_takeover(say_sockets({kind, "a", {}}))->kind, kind);
  }
}

TEST(TakeoverWords, OfALaterVersionArePassedOver) {
  const auto words = parse_takeover(R"({"kind": "quic", "address": 5, "more": {"a": []}})");
  ASSERT_TRUE(words.has_value());
  EXPECT_EQ(words->kind, std::nullopt);
  EXPECT_EQ(words->address, "");
  EXPECT_EQ(parse_takeover(R"({"takeover": 2})")->version, 2);
}

TEST(TakeoverWords, OfAnotherTypeSayNothing) {
  const auto words = parse_takeover(
      R"({"takeover": "1", "kind": 1, "end": 1, "ready": "yes", "kept": [-1, "a", 1.5, 7, null],
          "drains": null, "error": ["x"], "watchdog_usec": -5, "notify_socket": {}})");
  ASSERT_TRUE(words.has_value());
  EXPECT_EQ(words->version, std::nullopt);
  EXPECT_EQ(words->kind, std::nullopt);
  EXPECT_FALSE(words->end || words->ready || words->drains);
  EXPECT_EQ(words->kept, std::vector<std::size_t>{7});
  EXPECT_EQ(words->error, "");
  EXPECT_EQ(words->manager.watchdog_usec, 0U);
}

TEST(TakeoverWords, WhatIsNoObjectIsNoMessage) {
  for (const char* text :
       {"", "[]", "1", "null", "{", "{\"a\":}", "\xff\xfe", "{\"error\": \"\xff\"}"}) {
    EXPECT_FALSE(parse_takeover(text).has_value()) << text;
  }
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text = say_end({.notify_socket = "/run/notify", .watchdog_usec = 5});
    for (int k = 0; k < 3; ++k) text[random() % text.size()] = static_cast<char>(random());
    static_cast<void>(parse_takeover(text));  // whatever it is taken for
  }
}

}  // namespace
}  // namespace penstock
