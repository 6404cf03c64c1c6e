// Dials that fail: who learns of it, and who goes on.
#include <gtest/gtest.h>

#include "pool_world.h"

namespace penstock {
namespace {

using std::chrono::milliseconds;

constexpr HostLimits kOne{
    .max_connections = 1, .max_idle = 1, .max_waiting = 100, .idle_timeout = {}};

TEST_F(HostPoolTest, FailedDialFailsItsWaiter) {
  Client& client = acquire();
  dialer().fail({.code = ErrorCode::kTlsCertificateError, .phase = Phase::kTlsHandshake});
  ASSERT_TRUE(client.failed());
  EXPECT_EQ(client.error().code, ErrorCode::kTlsCertificateError);
  EXPECT_EQ(client.error().phase, Phase::kTlsHandshake);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
  EXPECT_EQ(snapshot().last_error, "tls_certificate_error");
}

TEST_F(HostPoolTest, FailedDialIsNeitherOpenedNorClosed) {
  acquire();
  dialer().fail();
  EXPECT_EQ(snapshot().opened, 0U);
  EXPECT_EQ(closed(CloseReason::kError), 0U);
}

TEST_F(HostPoolTest, FailedDialFailsAllThatWaitedBeforeItWhenNothingElseIsUp) {
  set_limits(kOne);
  Client& busy = connect();
  Client& first = acquire();
  Client& second = acquire();
  Client& third = acquire();
  clock_.advance(milliseconds(1));
  busy.close();  // the first one's dial begins here
  dialer().fail();
  EXPECT_TRUE(first.failed());
  EXPECT_TRUE(second.failed());
  EXPECT_TRUE(third.failed());
  EXPECT_EQ(dialer().in_flight(), 0U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, FailedDialFailsNobodyThatCameAfterItBegan) {
  set_limits(kOne);
  Client& dialling = acquire();
  clock_.advance(milliseconds(1));
  Client& later = acquire();
  dialer().fail();
  EXPECT_TRUE(dialling.failed());
  EXPECT_TRUE(later.waiting());
  EXPECT_EQ(dialer().in_flight(), 1U) << "it dials for itself";
}

TEST_F(HostPoolTest, FailedDialOfOneThatLeftFailsNobodyThatCameAfterItBegan) {
  set_limits(kOne);
  Client& quitter = acquire();
  clock_.advance(milliseconds(1));
  Client& later = acquire();
  quitter.cancel();  // its dial is the later one's now
  dialer().fail();
  EXPECT_TRUE(later.waiting());
  EXPECT_EQ(dialer().in_flight(), 1U) << "it dials for itself";
  EXPECT_EQ(later.phases(), (std::vector{Phase::kQueue, Phase::kResolve, Phase::kResolve}));
  dialer().fail();
  EXPECT_TRUE(later.failed());
  EXPECT_EQ(dialer().started(), 2U);
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, FailedDialOfOneThatLeftFailsWhomALoweredCapLeavesNoDial) {
  set_limits({.max_connections = 2, .max_idle = 2, .max_waiting = 9, .idle_timeout = {}});
  acquire();
  Client& quitter = acquire();
  clock_.advance(milliseconds(1));
  Client& later = acquire();
  quitter.cancel();
  set_limits(kOne);
  dialer().fail(1);
  EXPECT_TRUE(later.failed());
  EXPECT_EQ(dialer().in_flight(), 1U);
}

// Time stands still within a turn of the loop; what came in the same turn did not wait before.
TEST_F(HostPoolTest, FailedDialFailsNobodyOfItsOwnMoment) {
  set_limits({.max_connections = 64, .max_idle = 64, .max_waiting = 100, .idle_timeout = {}});
  for (int i = 0; i < 8; ++i) acquire();
  dialer().fail();
  EXPECT_EQ(books(), (Books{7, 0, 0, 0}));
  for (std::size_t i = 1; i < 8; ++i) EXPECT_TRUE(clients_[i]->waiting()) << i;
}

TEST_F(HostPoolTest, FailedDialFailsOnlyItsWaiterWhileAConnectionIsBusy) {
  connect();
  Client& ending = connect();
  Client& dialling = acquire();
  Client& queued = acquire();
  clock_.advance(milliseconds(1));
  ending.close();
  dialer().fail();
  EXPECT_TRUE(dialling.failed());
  EXPECT_EQ(queued.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, FailedDialFailsOnlyItsWaiterWhileAConnectionIsIdle) {
  fill_idle(1, 1);
  Client& busy = connect();
  Client& dialling = acquire();
  Client& queued = acquire();
  clock_.advance(milliseconds(1));
  busy.close();
  dialer().fail();
  EXPECT_TRUE(dialling.failed());
  EXPECT_EQ(queued.phases(), (std::vector{Phase::kQueue, Phase::kResolve}));
}

TEST_F(HostPoolTest, FailedDialThatNobodyWaitsForFailsThoseThatWaitedBeforeIt) {
  set_limits(kOne);
  Client& busy = connect();
  Client& quitter = acquire();
  Client& other = acquire(make_flavor(), 1);
  clock_.advance(milliseconds(1));
  busy.close();
  quitter.cancel();
  dialer().fail();
  run_workers();
  EXPECT_TRUE(other.failed());
  EXPECT_EQ(books(), (Books{0, 0, 0, 0}));
}

TEST_F(HostPoolTest, EarlierWaiterWithADialOfItsOwnAwaitsThat) {
  set_limits({.max_connections = 2, .max_idle = 2, .max_waiting = 9, .idle_timeout = {}});
  Client& early = acquire();
  clock_.advance(milliseconds(1));
  Client& dialling = acquire();
  clock_.advance(milliseconds(1));
  Client& late = acquire();
  dialer().fail(1);  // began after the first had come, before the last came
  EXPECT_TRUE(dialling.failed());
  EXPECT_TRUE(early.waiting());
  EXPECT_TRUE(late.waiting());
  EXPECT_EQ(dialer().started(), 3U) << "the permit is the last one's now";
  dialer().complete();
  EXPECT_TRUE(early.leasing());
}

TEST_F(HostPoolTest, FailedWaiterMayCancelTheOthersThatFail) {
  set_limits(kOne);
  Client& busy = connect();
  Client& first = acquire();
  Client& second = acquire();
  Client& third = acquire();
  clock_.advance(milliseconds(1));
  busy.close();
  first.then_failed = [&] { second.cancel(); };
  dialer().fail();
  EXPECT_FALSE(second.failed()) << "no callback comes after a cancel";
  EXPECT_TRUE(third.failed());
}

TEST_F(HostPoolTest, FailedWaiterMayAcquireAgain) {
  Client& again = client();
  Client& first = acquire();
  first.then_failed = [&] { acquire(again); };
  dialer().fail();
  EXPECT_EQ(again.phases(), (std::vector{Phase::kResolve}));
  dialer().complete();
  EXPECT_TRUE(again.leasing());
}

TEST_F(HostPoolTest, FailureTellsThePlacesInTheQueueFree) {
  set_limits({.max_connections = 1, .max_idle = 1, .max_waiting = 2, .idle_timeout = {}});
  Client& busy = connect();
  acquire();
  acquire();
  EXPECT_TRUE(acquire().failed());
  clock_.advance(milliseconds(1));
  busy.close();
  dialer().fail();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(acquire().waiting()) << i;
}

}  // namespace
}  // namespace penstock
