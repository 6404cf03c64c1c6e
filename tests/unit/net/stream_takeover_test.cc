// Streams at rest that the threads of two loops take from each other, while their peers answer,
// speak unasked and close. Under ThreadSanitizer this shows that nothing of a stream is touched by
// the loop that it was taken from.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <list>
#include <mutex>
#include <random>
#include <thread>

#include "event/loop.h"
#include "net/tcp_stream.h"
#include "support/loop_runner.h"
#include "support/tcp_pair.h"

namespace penstock {
namespace {

// libuv opens some for the whole process with its first loop.
std::size_t open_descriptors() {
  static const Loop first;
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

struct Reader final : StreamHandler {
  void on_readable() override {
    ++calls;
    char bytes[64];
    const IoResult result = stream->read(bytes);
    last = result.status;
    if (result.status == IoStatus::kOk) received.append(bytes, result.bytes);
  }
  void on_writable() override {}

  Stream* stream = nullptr;
  std::string received;
  IoStatus last = IoStatus::kWouldBlock;
  int calls = 0;
};

// What a gate says, and how often it was asked; outlives the gates.
struct Answers {
  bool taken = false;
  int asked = 0;
};

struct Gate final : WatchGate {
  explicit Gate(Answers& the_answers) : answers(the_answers) {}
  bool enter() override {
    ++answers.asked;
    return !answers.taken;
  }
  Answers& answers;
};

TEST(StreamTakeover, AnEventOfOneAtRestAsksTheGateFirst) {
  Loop loop;
  LoopRunner runner(loop);
  TcpPair pair = tcp_pair();
  TcpStream stream(loop, pair.ours.release());
  Reader reader;
  reader.stream = &stream;
  stream.set_handler(&reader);
  Answers answers;
  auto gate = std::make_shared<Gate>(answers);
  stream.rest(gate);
  ASSERT_EQ(::send(pair.peers.get(), "a", 1, 0), 1);
  ASSERT_TRUE(runner.until([&] { return reader.received == "a"; }));
  EXPECT_EQ(answers.asked, 1);
  ASSERT_EQ(::send(pair.peers.get(), "b", 1, 0), 1);
  ASSERT_TRUE(runner.until([&] { return reader.received == "ab"; }));
  EXPECT_EQ(answers.asked, 1) << "it is awake since";
  stream.rest(gate);
  stream.wake();
  ASSERT_EQ(::send(pair.peers.get(), "c", 1, 0), 1);
  ASSERT_TRUE(runner.until([&] { return reader.received == "abc"; }));
  EXPECT_EQ(answers.asked, 1);
}

TEST(StreamTakeover, TheOldLoopEndsItsHandleAndDescriptorAtTheNextEvent) {
  Loop old_loop;
  Loop new_loop;
  const std::size_t with_loops = open_descriptors();
  LoopRunner old_runner(old_loop);
  LoopRunner new_runner(new_loop);
  {
    TcpPair pair = tcp_pair();
    TcpStream stream(old_loop, pair.ours.release());
    Reader reader;
    reader.stream = &stream;
    stream.set_handler(&reader);
    Answers answers;
    auto gate = std::make_shared<Gate>(answers);
    stream.rest(gate);
    answers.taken = true;
    ASSERT_TRUE(stream.move_to(new_loop, *gate));
    gate.reset();
    EXPECT_EQ(open_descriptors(), with_loops + 3);
    ASSERT_EQ(::send(pair.peers.get(), "a", 1, 0), 1);
    ASSERT_TRUE(old_runner.until([&] { return answers.asked == 1; }));
    old_runner.turn(2);
    ASSERT_TRUE(new_runner.until([&] { return reader.received == "a"; }));
    EXPECT_EQ(open_descriptors(), with_loops + 2);
    EXPECT_EQ(reader.calls, 1);
  }
  new_runner.turn(2);
  EXPECT_EQ(open_descriptors(), with_loops);
}

TEST(StreamTakeover, ItsEndEndsTheConnectionThoughTheOldLoopHoldsADescriptor) {
  for (const bool aborted : {false, true}) {
    Loop old_loop;
    Loop new_loop;
    LoopRunner old_runner(old_loop);
    LoopRunner new_runner(new_loop);
    TcpPair pair = tcp_pair();
    Reader reader;
    Answers answers;
    auto gate = std::make_shared<Gate>(answers);
    {
      TcpStream stream(old_loop, pair.ours.release());
      stream.set_handler(&reader);
      stream.rest(gate);
      answers.taken = true;
      ASSERT_TRUE(stream.move_to(new_loop, *gate));
      gate.reset();
      if (aborted) stream.abort();
    }
    ASSERT_TRUE(old_runner.until([&] { return answers.asked == 1; }));
    old_runner.turn(2);
    pollfd end{.fd = pair.peers.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&end, 1, 5000), 1);
    char byte = 0;
    EXPECT_EQ(::recv(pair.peers.get(), &byte, 1, 0), aborted ? -1 : 0);
    EXPECT_EQ(reader.calls, 0);
  }
}

TEST(StreamTakeover, WhatTheOldLoopEndedBeforeItWasMovedIsStillTheSameConnection) {
  Loop old_loop;
  Loop new_loop;
  LoopRunner old_runner(old_loop);
  LoopRunner new_runner(new_loop);
  TcpPair pair = tcp_pair();
  TcpStream stream(old_loop, pair.ours.release());
  Reader reader;
  reader.stream = &stream;
  stream.set_handler(&reader);
  Answers answers;
  auto gate = std::make_shared<Gate>(answers);
  stream.rest(gate);
  answers.taken = true;
  ASSERT_EQ(::send(pair.peers.get(), "a", 1, 0), 1);
  ASSERT_TRUE(old_runner.until([&] { return answers.asked == 1; }));
  old_runner.turn(2);
  TcpPair other = tcp_pair();  // would get the number of a descriptor that was closed
  ASSERT_TRUE(stream.move_to(new_loop, *gate));
  gate.reset();
  ASSERT_TRUE(new_runner.until([&] { return reader.received == "a"; }));
}

TEST(StreamTakeover, ALoopThatEndsClosesWhatWasTakenFromIt) {
  const std::size_t before = open_descriptors();
  {
    Loop new_loop;
    TcpPair pair = tcp_pair();
    Reader reader;
    std::unique_ptr<TcpStream> stream;
    Answers answers;
    auto gate = std::make_shared<Gate>(answers);
    {
      Loop old_loop;
      stream = std::make_unique<TcpStream>(old_loop, pair.ours.release());
      stream->set_handler(&reader);
      stream->rest(gate);
      answers.taken = true;
      ASSERT_TRUE(stream->move_to(new_loop, *gate));
      gate.reset();
    }
    EXPECT_EQ(answers.asked, 1);
    stream.reset();
  }
  EXPECT_EQ(open_descriptors(), before);
}

// Churn

class Table;

// A stream that nobody uses lies on the table; whoever takes one up uses it on his own loop.
class Item final : public StreamHandler {
 public:
  Item(Table& table, std::size_t owner, Loop& loop, int fd)
      : table_(table), owner_(owner), stream_(std::make_unique<TcpStream>(loop, fd)) {
    stream_->set_handler(this);
  }

  void on_readable() override;
  void on_writable() override {}

 private:
  friend class Table;

  struct ItemGate final : WatchGate {
    explicit ItemGate(Item& the_item, Table& the_table) : item(the_item), table(the_table) {}
    bool enter() override;
    Item& item;
    Table& table;
    bool taken = false;  // guarded by the table's mutex
  };

  Table& table_;
  std::size_t owner_;
  bool idle_ = false;     // guarded by the table's mutex
  bool looking_ = false;  // likewise: its own loop reads it
  std::unique_ptr<TcpStream> stream_;
  std::shared_ptr<ItemGate> gate_;
};

class Table {
 public:
  static constexpr std::size_t kThreads = 3;
  static constexpr std::size_t kItems = 12;
  static constexpr int kTakeovers = 5000;

  void run();
  int lost() const { return lost_; }

 private:
  friend class Item;

  void add_item(std::size_t owner);
  void work(std::size_t self, std::mt19937& random);
  void lay_down(Item& item);
  void drop(Item& item);
  void answer(int fd, unsigned seed);

  std::mutex mutex_;
  std::list<std::unique_ptr<Item>> items_;  // guarded by mutex_
  std::array<std::unique_ptr<Loop>, kThreads> loops_;
  std::array<std::vector<std::unique_ptr<Item>>, kThreads> dropped_;  // each its own thread's
  std::atomic<int> takeovers_{0};
  std::atomic<int> lost_{0};
  std::mutex peers_mutex_;
  std::vector<std::thread> peers_;  // guarded by peers_mutex_
};

bool Item::ItemGate::enter() {
  const std::lock_guard lock(table.mutex_);
  if (taken) return false;
  item.looking_ = true;
  return true;
}

void Item::on_readable() {
  char bytes[64];
  const IoResult result = stream_->read(bytes);
  if (result.status == IoStatus::kEof || result.status == IoStatus::kError) {
    table_.drop(*this);
  } else {
    table_.lay_down(*this);  // an answer, or something unasked: either way it is done
  }
}

void Table::add_item(std::size_t owner) {
  TcpPair pair = tcp_pair();
  auto item = std::make_unique<Item>(*this, owner, *loops_[owner], pair.ours.release());
  Item& added = *item;
  {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
  }
  {
    const std::lock_guard lock(peers_mutex_);
    const auto seed = static_cast<unsigned>(peers_.size());
    peers_.emplace_back([this, fd = pair.peers.release(), seed] { answer(fd, seed); });
  }
  lay_down(added);
}

// A peer that answers each byte, sometimes twice, and sometimes goes.
void Table::answer(int fd, unsigned seed) {
  const UniqueFd owned(fd);
  std::mt19937 random(seed);
  char bytes[64];
  for (;;) {
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) return;
    const auto dice = random() % 100;
    if (dice == 0) return;
    for (int i = 0; i < (dice < 10 ? 2 : 1); ++i) {
      if (::send(fd, "x", 1, MSG_NOSIGNAL) < 0) return;
    }
  }
}

void Table::lay_down(Item& item) {
  const std::lock_guard lock(mutex_);
  if (item.gate_ == nullptr) item.gate_ = std::make_shared<Item::ItemGate>(item, *this);
  item.idle_ = true;
  item.looking_ = false;
  item.stream_->rest(item.gate_);
}

void Table::drop(Item& item) {
  const std::lock_guard lock(mutex_);
  ++lost_;
  item.stream_.reset();
  const auto at =
      std::ranges::find_if(items_, [&](const auto& each) { return each.get() == &item; });
  dropped_[item.owner_].push_back(std::move(*at));
  items_.erase(at);
}

// Takes up any item that lies there, its own or another's, and asks its peer something.
void Table::work(std::size_t self, std::mt19937& random) {
  dropped_[self].clear();
  Item* taken = nullptr;
  bool foreign = false;
  std::shared_ptr<WatchGate> gate;
  bool too_few = false;
  {
    const std::lock_guard lock(mutex_);
    too_few = items_.size() < kItems;
    auto at = items_.begin();
    if (!items_.empty()) std::advance(at, random() % items_.size());
    if (at != items_.end() && (*at)->idle_ && !(*at)->looking_) {
      taken = at->get();
      foreign = taken->owner_ != self;
      taken->idle_ = false;
      if (foreign) {
        taken->gate_->taken = true;
        gate = std::move(taken->gate_);
        taken->owner_ = self;
      }
    }
  }
  if (taken != nullptr) {
    if (foreign) {
      ++takeovers_;
      EXPECT_TRUE(taken->stream_->move_to(*loops_[self], *gate));
    } else {
      taken->stream_->wake();
    }
    static_cast<void>(taken->stream_->write("?"));
  }
  if (too_few) add_item(self);
  if (takeovers_ >= kTakeovers) {
    loops_[self]->stop();
    return;
  }
  post(*loops_[self], [this, self, &random] { work(self, random); });
}

void Table::run() {
  for (auto& loop : loops_) loop = std::make_unique<Loop>();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      post(*loops_[i], [this, i, &random] { work(i, random); });
      loops_[i]->run();
    });
  }
  for (std::thread& thread : threads) thread.join();
  items_.clear();
  for (auto& dropped : dropped_) dropped.clear();
  for (auto& loop : loops_) loop.reset();
  for (std::thread& peer : peers_) peer.join();
}

TEST(StreamTakeover, UnderChurnNothingIsTouchedTwiceAndNoDescriptorIsLeft) {
  const std::size_t before = open_descriptors();
  Table table;
  table.run();
  EXPECT_GT(table.lost(), 0) << "peers close now and then";
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace penstock
