// Listening on unix sockets: the file's mode and owner, what was left behind, what is in the way,
// and that only our own file is removed.
#include "net/unix_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/address.h"

namespace penstock {
namespace {

using testing::HasSubstr;

class UnixListenerTest : public testing::Test {
 protected:
  UnixListenerTest() {
    std::string name = (std::filesystem::temp_directory_path() / "unix-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    path_ = (folder_ / "p.sock").string();
  }
  ~UnixListenerTest() override { std::filesystem::remove_all(folder_); }

  std::optional<UnixListening> listen(const UnixAccess& access = {}) {
    auto made = listen_unix(path_, access);
    if (made) return *std::move(made);
    error_ = made.error();
    return std::nullopt;
  }
  struct stat file() const {
    struct stat found {};
    EXPECT_EQ(::lstat(path_.c_str(), &found), 0);
    return found;
  }
  bool exists() const { return std::filesystem::exists(std::filesystem::symlink_status(path_)); }
  int connect() const {
    const auto address = *SocketAddress::from_unix_path(path_);
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), address.data(), address.length()) == 0 ? 0 : errno;
  }
  // As a process leaves it that is killed.
  void leave_stale_socket() const {
    const auto address = *SocketAddress::from_unix_path(path_);
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(fd.get(), address.data(), address.length()), 0);
    ASSERT_EQ(::listen(fd.get(), 1), 0);
  }

  std::filesystem::path folder_;
  std::string path_;
  Error error_;
};

TEST_F(UnixListenerTest, TakesClientsAndRemovesItsFile) {
  auto made = listen();
  ASSERT_TRUE(made);
  EXPECT_EQ(connect(), 0);
  made.reset();
  EXPECT_FALSE(exists());
}

TEST_F(UnixListenerTest, HasItsModeWhateverTheUmask) {
  for (const mode_t mode : {0600U, 0660U, 0666U, 0220U}) {
    for (const mode_t mask : {0U, 077U, 0777U}) {
      const mode_t before = ::umask(mask);
      const auto made = listen({.mode = mode, .uid = {}, .gid = {}});
      ::umask(before);
      ASSERT_TRUE(made) << error_.detail;
      EXPECT_EQ(file().st_mode & 07777U, mode);
    }
  }
}

TEST_F(UnixListenerTest, ReplacesASocketThatNobodyServes) {
  leave_stale_socket();
  EXPECT_EQ(connect(), ECONNREFUSED);
  const auto made = listen();
  ASSERT_TRUE(made) << error_.detail;
  EXPECT_EQ(connect(), 0);
}

TEST_F(UnixListenerTest, LeavesASocketThatIsServed) {
  const auto first = listen();
  ASSERT_TRUE(first);
  EXPECT_FALSE(listen());
  EXPECT_EQ(error_.sys, EADDRINUSE);
  EXPECT_THAT(error_.detail, HasSubstr("unix:" + path_ + ": another process listens there"));
  EXPECT_EQ(connect(), 0) << "the first is still there";
}

TEST_F(UnixListenerTest, IsGivenToOneOfThoseWhoReplaceASocketAtOnce) {
  constexpr int kRounds = 200;
  constexpr std::size_t kThreads = 4;
  for (int round = 0; round < kRounds; ++round) {
    leave_stale_socket();
    std::array<std::optional<UnixListening>, kThreads> made;
    std::barrier start(kThreads);
    {
      std::vector<std::jthread> threads;
      for (auto& mine : made) {
        threads.emplace_back([&start, &mine, this] {
          start.arrive_and_wait();
          if (auto listening = listen_unix(path_, {})) mine = *std::move(listening);
        });
      }
    }
    ASSERT_EQ(std::ranges::count_if(made, [](const auto& one) { return one.has_value(); }), 1);
    ASSERT_EQ(connect(), 0);
  }
}

TEST_F(UnixListenerTest, KnowsThatItsFileIsLost) {
  EXPECT_FALSE(UnixSocketFile().is_lost());
  const auto made = listen();
  ASSERT_TRUE(made);
  EXPECT_FALSE(made->file.is_lost());
  std::filesystem::remove(path_);
  EXPECT_TRUE(made->file.is_lost());
  leave_stale_socket();
  EXPECT_TRUE(made->file.is_lost()) << "it is another's";
}

TEST_F(UnixListenerTest, TakesAFullQueueForAServedSocket) {
  const auto first = listen();
  ASSERT_TRUE(first);
  ASSERT_EQ(::listen(first->fd.get(), 0), 0);
  ASSERT_EQ(connect(), 0);  // never accepted: the queue of one is full
  EXPECT_FALSE(listen());
  EXPECT_EQ(error_.sys, EADDRINUSE);
}

TEST_F(UnixListenerTest, LeavesAServedSocketOfAnotherType) {
  const auto address = *SocketAddress::from_unix_path(path_);
  const UniqueFd datagrams(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(datagrams.get(), address.data(), address.length()), 0);
  EXPECT_FALSE(listen());
  EXPECT_EQ(error_.sys, EADDRINUSE);
  EXPECT_TRUE(exists());
}

TEST_F(UnixListenerTest, TakesPacketsToo) {
  for (int i = 0; i < 2; ++i) {
    auto made = listen_unix(path_, {}, SOCK_SEQPACKET);
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(connect(), EPROTOTYPE);
    made->file.release();  // the next one finds what a killed process leaves
  }
  EXPECT_TRUE(exists());
}

TEST_F(UnixListenerTest, LeavesAFileThatAnotherProcessHasTakenOver) {
  auto made = listen();
  ASSERT_TRUE(made && made->file);
  made->file.release();
  EXPECT_FALSE(made->file);
  made.reset();
  EXPECT_TRUE(exists());
}

TEST_F(UnixListenerTest, LeavesWhatIsNoSocket) {
  std::ofstream(path_) << "precious";
  EXPECT_FALSE(listen());
  EXPECT_EQ(error_.sys, EEXIST);
  EXPECT_THAT(error_.detail, HasSubstr("not a socket: remove it or choose another path"));
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(UnixListenerTest, FollowsNoSymbolicLink) {
  std::filesystem::create_symlink(folder_ / "elsewhere", path_);
  EXPECT_FALSE(listen());
  EXPECT_EQ(error_.sys, EEXIST);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "elsewhere"));
}

TEST_F(UnixListenerTest, SaysThatItsFolderIsMissing) {
  path_ = (folder_ / "missing" / "p.sock").string();
  EXPECT_FALSE(listen());
  EXPECT_EQ(error_.sys, ENOENT);
  EXPECT_THAT(error_.detail, HasSubstr("there is no folder " + (folder_ / "missing").string()));
}

TEST_F(UnixListenerTest, LeavesAFileThatIsNotItsOwnAnyMore) {
  auto made = listen();
  ASSERT_TRUE(made);
  std::filesystem::remove(path_);
  const auto successor = listen();
  ASSERT_TRUE(successor);
  made.reset();
  EXPECT_EQ(connect(), 0) << "the successor's file is still there";
}

TEST_F(UnixListenerTest, LeavesNothingWhenItsOwnerCannotBeSet) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may give files to anybody";
  EXPECT_FALSE(listen({.mode = 0600, .uid = 0, .gid = {}}));
  EXPECT_EQ(error_.sys, EPERM);
  EXPECT_FALSE(exists());
}

TEST_F(UnixListenerTest, GivesItsFileAway) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give files away";
  const auto made = listen({.mode = 0660, .uid = 4711, .gid = 4712});
  ASSERT_TRUE(made) << error_.detail;
  EXPECT_EQ(file().st_uid, 4711U);
  EXPECT_EQ(file().st_gid, 4712U);
  EXPECT_EQ(file().st_mode & 07777U, 0660U);
}

TEST_F(UnixListenerTest, ChangesModeOfAnOpenSocket) {
  const auto made = listen();
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->file.set_access({.mode = 0666, .uid = {}, .gid = {}}));
  EXPECT_EQ(file().st_mode & 07777U, 0666U);
}

TEST_F(UnixListenerTest, MovesWithItsFile) {
  auto made = listen();
  ASSERT_TRUE(made);
  UnixSocketFile file = std::move(made->file);
  made->file = {};
  EXPECT_TRUE(exists());
  file = UnixSocketFile();
  EXPECT_FALSE(exists());
}

TEST(UnixAccessTest, ReadsNamesAndNumbers) {
  const auto named = resolve_access(0660, "root:root");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->mode, 0660U);
  EXPECT_EQ(named->uid, 0U);
  EXPECT_EQ(named->gid, 0U);
  const auto numbered = resolve_access(0600, "4711");
  ASSERT_TRUE(numbered);
  EXPECT_EQ(numbered->uid, 4711U);
  EXPECT_EQ(numbered->gid, std::nullopt);
  const auto nobody = resolve_access(0600, "");
  ASSERT_TRUE(nobody);
  EXPECT_EQ(nobody->uid, std::nullopt);
}

TEST(UnixAccessTest, SaysWhoIsNotKnown) {
  const auto user = resolve_access(0600, "no-such-user");
  ASSERT_FALSE(user);
  EXPECT_EQ(user.error().detail, "no user is named no-such-user");
  const auto group = resolve_access(0600, "root:no-such-group");
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().detail, "no group is named no-such-group");
}

}  // namespace
}  // namespace penstock
