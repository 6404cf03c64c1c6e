#include "socket.h"

#include <algorithm>

namespace penstock::sim {

std::unique_ptr<Stream> Socket::open() { return std::make_unique<SimStream>(*this); }

bool Socket::due(std::size_t worker) const {
  const bool told = peer_.has_input() || !peer_.open();
  const auto is_here = [&](const LeftBehind& left) { return left.worker == worker; };
  if (told && std::any_of(left_behind_.begin(), left_behind_.end(), is_here)) return true;
  return worker_ == worker && watched_ && peer_.due();
}

void Socket::serve(std::size_t worker) {
  const auto left = std::find_if(left_behind_.begin(), left_behind_.end(),
                                 [&](const LeftBehind& one) { return one.worker == worker; });
  if (left != left_behind_.end()) {
    if (left->gate->enter())
      stage_.finding("an event was served on a connection that another worker had taken over");
    left_behind_.erase(left);
    return;
  }
  if (gate_ != nullptr) {
    const std::shared_ptr<WatchGate> gate = gate_;
    watched_ = gate->enter();
    if (!watched_) return;
    gate_.reset();
    looked_at_ = true;
  }
  peer_.turn();
  looked_at_ = false;
}

void Socket::forget(std::size_t worker) {
  std::erase_if(left_behind_, [&](const LeftBehind& left) { return left.worker == worker; });
}

void Socket::check_use(const char* what) const {
  const char* wrong = nullptr;
  if (abandoned_) wrong = " of a stream that was abandoned: ";
  if (gate_ != nullptr) wrong = " of a stream at rest: ";
  if (stage_.current != worker_) wrong = " of another worker's stream: ";
  if (wrong != nullptr) stage_.finding(what + (wrong + name()));
}

// Where the gate has told the old loop already, nothing of it is left there.
void Socket::leave_loop() {
  if (watched_) left_behind_.push_back({worker_, gate_});
  gate_.reset();
}

SimStream::~SimStream() {
  const bool at_rest = socket_.gate_ != nullptr;
  if (at_rest && !socket_.watched_)
    socket_.stage_.finding("a stream was closed whose loop had let go of it already");
  if (!socket_.abandoned_ && socket_.stage_.current != socket_.worker_)
    socket_.stage_.finding("another worker's stream was closed");
  socket_.gate_.reset();
  socket_.far_end_.on_closed();
}

void SimStream::set_handler(StreamHandler* handler) {
  socket_.check_use("set_handler()");
  inner_->set_handler(handler);
}

IoResult SimStream::read(std::span<char> into) {
  socket_.check_use("read()");
  socket_.stage_.interleave();
  // While a worker looks at an idle connection, the others must leave it alone.
  for (int turns = 0; socket_.looked_at_ && turns < 3; ++turns) socket_.stage_.interleave(1);
  socket_.check_use("read()");
  const IoResult result = inner_->read(into);
  if (result.status == IoStatus::kOk) {
    socket_.consumed_ += result.bytes;
    socket_.far_end_.on_consumed();
  }
  return result;
}

IoResult SimStream::write(std::span<const std::string_view> pieces) {
  socket_.check_use("write()");
  socket_.far_end_.on_offered(pieces);
  socket_.stage_.interleave();
  socket_.check_use("write()");
  const IoResult result = inner_->write(pieces);
  if (result.status == IoStatus::kOk && result.bytes > 0) socket_.far_end_.on_written();
  return result;
}

void SimStream::pause_read(PauseReason reason) {
  socket_.check_use("pause_read()");
  inner_->pause_read(reason);
}

void SimStream::resume_read(PauseReason reason) {
  socket_.check_use("resume_read()");
  inner_->resume_read(reason);
}

void SimStream::rest(const std::shared_ptr<WatchGate>& gate) {
  socket_.check_use("rest()");
  socket_.gate_ = gate;
  socket_.far_end_.on_rest();
}

void SimStream::wake() {
  socket_.stage_.expect(socket_.gate_ != nullptr && socket_.watched_,
                        "wake() of a stream that is awake or taken");
  socket_.gate_.reset();
  socket_.check_use("wake()");
}

void SimStream::abandon(WatchGate& gate) {
  socket_.stage_.expect(socket_.gate_.get() == &gate, "abandon() of a stream that is awake");
  socket_.leave_loop();
  socket_.abandoned_ = true;
}

void SimStream::shutdown_write() {
  socket_.check_use("shutdown_write()");
  inner_->shutdown_write();
}

void SimStream::abort() {
  socket_.check_use("abort()");
  inner_->abort();
}

bool SimStream::take(std::size_t worker, WatchGate& gate, bool fails) {
  if (fails) {
    abandon(gate);
    return false;
  }
  socket_.stage_.expect(socket_.gate_.get() == &gate, "a stream that is awake was taken over");
  socket_.stage_.expect(!socket_.abandoned_, "a stream that was abandoned was taken over");
  socket_.leave_loop();
  socket_.worker_ = worker;
  socket_.watched_ = true;
  return true;
}

}  // namespace penstock::sim
