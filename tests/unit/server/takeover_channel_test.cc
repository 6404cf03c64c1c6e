// Messages with descriptors between two processes, as far as one process can show it.
#include "server/takeover_channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

namespace penstock {
namespace {

class TakeoverChannelTest : public testing::Test {
 protected:
  TakeoverChannelTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
              0);
    here_.reset(ends[0]);
    there_.reset(ends[1]);
  }
  static std::vector<UniqueFd> some_descriptors(std::size_t count) {
    std::vector<UniqueFd> descriptors;
    for (std::size_t i = 0; i < count; ++i) descriptors.emplace_back(::open("/dev/null", O_RDONLY));
    return descriptors;
  }

  UniqueFd here_;
  UniqueFd there_;
};

TEST_F(TakeoverChannelTest, AMessageIsOnePacketWithItsDescriptors) {
  ASSERT_TRUE(send_message(here_.get(), "first", some_descriptors(3)));
  ASSERT_TRUE(send_message(here_.get(), "second"));
  const auto first = receive_message(there_.get());
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->text, "first");
  ASSERT_EQ(first->descriptors.size(), 3U);
  for (const UniqueFd& fd : first->descriptors) {
    EXPECT_NE(::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC, 0);
  }
  const auto second = receive_message(there_.get());
  EXPECT_EQ(second->text, "second");
  EXPECT_TRUE(second->descriptors.empty());
}

TEST_F(TakeoverChannelTest, AsManyDescriptorsAsTheKernelLets) {
  ASSERT_TRUE(send_message(here_.get(), "x", some_descriptors(kMostDescriptors)));
  EXPECT_EQ(receive_message(there_.get())->descriptors.size(), kMostDescriptors);
  EXPECT_EQ(send_message(here_.get(), "x", some_descriptors(kMostDescriptors + 1)).error(),
            EMSGSIZE);
}

TEST_F(TakeoverChannelTest, NothingYetAndNoMoreAreDifferent) {
  EXPECT_EQ(receive_message(there_.get()).error(), EAGAIN);
  here_.reset();
  EXPECT_EQ(receive_message(there_.get())->text, "");
  EXPECT_EQ(send_message(there_.get(), "x").error(), EPIPE) << "and no signal";
}

TEST_F(TakeoverChannelTest, AMessageThatIsTooLargeIsRefusedAndItsDescriptorsClosed) {
  const std::string large(100'000, 'x');
  EXPECT_EQ(send_message(here_.get(), large).error(), EMSGSIZE);
  ASSERT_EQ(::send(here_.get(), large.data(), large.size(), 0), 100'000);
  EXPECT_EQ(receive_message(there_.get()).error(), EMSGSIZE);
}

TEST_F(TakeoverChannelTest, WhoIsAtTheOtherEndIsKnown) {
  EXPECT_EQ(own_peer(here_.get()), ::getpid());
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(own_peer(file.get()), std::nullopt) << "no socket";
}

}  // namespace
}  // namespace penstock
