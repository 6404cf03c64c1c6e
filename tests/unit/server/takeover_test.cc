// A takeover with both of its sides in one process: what is asked, given, kept, and left alone.
#include "server/takeover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/takeover_server.h"
#include "support/loop_runner.h"
#include "support/tcp_pair.h"
#include "unit/telemetry/support.h"

namespace penstock {
namespace {

using testing::HasSubstr;

class TakeoverTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = listen_for_takeovers(path_);
    ASSERT_TRUE(made.has_value());
    server_.emplace(loop_, log_, std::move(made->fd), std::move(made->file),
                    TakeoverServer::Hooks{
                        .objection = [this] { return objection_; },
                        .collect = [this](auto done) { collect(std::move(done)); },
                        .manager =
                            [] {
                              return HandedManager{"/run/notify", 5};
                            },
                        .on_taken =
                            [this](pid_t, const std::vector<HandedSockets>& kept) {
                              for (const auto& each : kept) kept_.push_back(each.address);
                            },
                    });
  }

  void collect(const std::function<void(std::vector<HandedSockets>)>& done) {
    std::vector<HandedSockets> sockets;
    for (const char* address : {"a", "b"}) {
      sockets.push_back({HandedKind::kListener, address, {}});
      sockets.back().descriptors.push_back(listening_socket());
    }
    if (stops_meanwhile_) {
      post(loop_, [this] {
        EXPECT_TRUE(server_->pending());
        EXPECT_TRUE(server_->give_up().empty());
      });
    }
    post(loop_, [done, sockets = std::move(sockets)]() mutable { done(std::move(sockets)); });
  }

  // What blocks does so on a thread of its own, as it does in a process of its own.
  template <typename Work>
  auto beside(Work work) {
    std::optional<decltype(work())> result;
    bool over = false;
    std::thread thread([&] {
      result.emplace(work());
      post(loop_, [&] { over = true; });
    });
    EXPECT_TRUE(runner_.until([&] { return over; }));
    thread.join();
    return *std::move(result);
  }
  Result<std::optional<Takeover>, std::string> begin() {
    return beside([this] { return Takeover::begin(path_); });
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.file("control");
  Log log_{LogLevel::kOff};
  Loop loop_;
  LoopRunner runner_{loop_};
  std::string objection_;
  bool stops_meanwhile_ = false;
  std::vector<std::string> kept_;
  std::optional<TakeoverServer> server_;
};

TEST_F(TakeoverTest, TheNewOneIsGivenEverythingAndSaysWhatItKeeps) {
  auto takeover = begin();
  ASSERT_TRUE(takeover && *takeover);
  EXPECT_TRUE(server_->pending());
  EXPECT_EQ((*takeover)->manager().notify_socket, "/run/notify");
  EXPECT_EQ((*takeover)->manager().watchdog_usec, 5U);
  EXPECT_TRUE((*takeover)->take(HandedKind::kAdmin, "b").empty());
  auto taken = (*takeover)->take(HandedKind::kListener, "b");
  ASSERT_EQ(taken.size(), 1U);
  EXPECT_EQ(taken[0].descriptors.size(), 1U);
  EXPECT_TRUE((*takeover)->take(HandedKind::kListener, "b").empty()) << "it is taken";
  const auto control = (*takeover)->take(HandedKind::kTakeover, "");
  EXPECT_EQ(control.size(), 1U);
  EXPECT_TRUE(kept_.empty()) << "nothing has changed so far";
  EXPECT_TRUE(beside([&] { return (*takeover)->finish(); }));
  EXPECT_EQ(kept_, (std::vector<std::string>{"b", ""}));
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(path_)) << "the file is the new one's";
}

TEST_F(TakeoverTest, OneThatLeavesHasChangedNothing) {
  {
    auto takeover = begin();
    ASSERT_TRUE(takeover && *takeover);
  }
  EXPECT_TRUE(runner_.until([&] { return !server_->pending(); }));
  auto next = begin();
  ASSERT_TRUE(next && *next);
  EXPECT_TRUE(kept_.empty());
}

TEST_F(TakeoverTest, AnOldOneThatStopsInBetweenLeavesItAlone) {
  auto takeover = begin();
  ASSERT_TRUE(takeover && *takeover);
  EXPECT_EQ(server_->give_up().size(), 3U);
  EXPECT_FALSE(beside([&] { return (*takeover)->finish(); }));
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(TakeoverTest, AnObjectionIsTheReason) {
  objection_ = "not now";
  const auto takeover = begin();
  ASSERT_FALSE(takeover.has_value());
  EXPECT_THAT(takeover.error(), HasSubstr("not now"));
}

TEST_F(TakeoverTest, WhereNobodyIsThereIsNothingToTake) {
  EXPECT_FALSE(Takeover::begin(path_ + "x")->has_value());
  server_->give_up();
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_)) << "nobody has it: it is ours";
  const auto left = listen_for_takeovers(path_);
  ASSERT_TRUE(left.has_value());
}

TEST_F(TakeoverTest, OnlyTheOwnerMayReachTheSocket) {
  struct stat found {};
  ASSERT_EQ(::lstat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0600U);
}

TEST(TakeoverPath, IsNamedAfterTheFileInTheFolderOfThatService) {
  ::setenv("RUNTIME_DIRECTORY", "/run/penstock:/run/other", 1);
  ::setenv("XDG_RUNTIME_DIR", "/run/user/0", 1);
  const std::string path = takeover_path("/etc/penstock/penstock.yaml");
  EXPECT_TRUE(path.starts_with("/run/penstock/penstock-takeover-"));
  EXPECT_EQ(takeover_path("/etc/penstock/../penstock/penstock.yaml"), path);
  EXPECT_NE(takeover_path("/etc/penstock/other.yaml"), path);
  ::unsetenv("RUNTIME_DIRECTORY");
  EXPECT_TRUE(takeover_path("").starts_with("/run/user/0/"));
  ::unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(takeover_path("/etc/penstock/penstock.yaml"), "");
}

TEST_F(TakeoverTest, WhoAsksJustBeforeAStopIsGivenNothing) {
  stops_meanwhile_ = true;
  const auto takeover = begin();
  ASSERT_FALSE(takeover);
  EXPECT_THAT(takeover.error(), HasSubstr("it is stopping"));
  EXPECT_FALSE(server_->pending());
  EXPECT_TRUE(kept_.empty());
}

}  // namespace
}  // namespace penstock
