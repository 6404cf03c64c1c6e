#include "event/watcher.h"

#include <unistd.h>
#include <uv.h>

#include "event/loop.h"
#include "event/uv_check.h"

namespace penstock {

namespace {

template <typename Block>
void free_block(uv_handle_t* handle) {
  delete static_cast<Block*>(handle->data);
}

}  // namespace

struct Watcher::Block {
  Block(Loop& the_loop, int fd, const Callback& callback);

  static void on_poll(uv_poll_t* handle, int status, int events);
  static void end_if_taken(uv_handle_t* handle, void*);
  void set_interest(bool wants_readable, bool wants_writable);
  void start();
  void restart_after_error();
  void end() { uv_close(as_handle(), free_block<Block>); }
  uv_handle_t* as_handle() { return reinterpret_cast<uv_handle_t*>(&poll); }

  uv_poll_t poll{};
  Loop& loop;
  const Callback& on_ready;  // the Watcher's: it ends us before itself, unless we were taken
  bool readable = false;
  bool writable = false;
  bool patient = false;
  bool resting = false;  // of the loop's thread alone, also when another one has taken the watcher
  std::shared_ptr<WatchGate> gate;
};

WatchGate::~WatchGate() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Watcher::Block::Block(Loop& the_loop, int fd, const Callback& callback)
    : loop(the_loop), on_ready(callback) {
  check_uv(uv_poll_init(loop.uv(), &poll, fd), "uv_poll_init");
  poll.data = this;
}

void Watcher::Block::end_if_taken(uv_handle_t* handle, void*) {
  if (handle->type != UV_POLL || uv_is_closing(handle) != 0) return;
  auto& block = *static_cast<Block*>(handle->data);
  if (block.resting && !block.gate->enter()) block.end();
}

void Watcher::Block::set_interest(bool wants_readable, bool wants_writable) {
  if (readable == wants_readable && writable == wants_writable) return;
  readable = wants_readable;
  writable = wants_writable;
  if (readable || writable) {
    start();
  } else {
    uv_poll_stop(&poll);
  }
}

void Watcher::Block::start() {
  const int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  check_uv(uv_poll_start(&poll, events, on_poll), "uv_poll_start");
}

// libuv stops a handle that met an error condition; there may be more to read before it.
void Watcher::Block::restart_after_error() {
  if (uv_is_closing(as_handle()) != 0 || (!readable && !writable)) return;
  if (uv_is_active(as_handle()) == 0) start();
}

void Watcher::Block::on_poll(uv_poll_t* handle, int status, int events) {
  auto& block = *static_cast<Block*>(handle->data);
  block.loop.refresh_time();
  if (block.patient && block.loop.patience_is_over()) {  // level-triggered: it comes again
    if (status != 0) block.restart_after_error();
    return;
  }
  if (block.resting) {
    if (!block.gate->enter()) {
      block.end();
      return;
    }
    block.resting = false;
  }
  const bool patient = block.patient;
  const MonotonicTime began = block.loop.now();
  if (status == 0) {
    block.on_ready({(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0});
  } else {
    block.on_ready({true, block.writable});
    block.restart_after_error();
  }
  if (!patient) return;
  block.loop.refresh_time();
  block.loop.add_patient_time(began);
}

Watcher::Watcher(Loop& loop, int fd, Callback on_ready)
    : on_ready_(on_ready), block_(new Block(loop, fd, on_ready_)) {}

// uv_close takes the descriptor out of the poll set by its number, at once.
Watcher::~Watcher() {
  if (block_ != nullptr) block_->end();
}

void Watcher::set_interest(bool readable, bool writable) {
  readable_ = readable;
  writable_ = writable;
  block_->set_interest(readable, writable);
}

void Watcher::be_patient(bool patient) { block_->patient = patient; }

void Watcher::rest(const std::shared_ptr<WatchGate>& gate) {
  if (block_->gate != gate) block_->gate = gate;
  block_->resting = true;
}

void Watcher::wake() { block_->resting = false; }

// The old block is its loop's alone, and may be gone already.
void Watcher::move_to(Loop& loop, int fd) {
  block_ = new Block(loop, fd, on_ready_);
  block_->set_interest(readable_, writable_);
}

void Watcher::end_taken(Loop& loop) { uv_walk(loop.uv(), Block::end_if_taken, nullptr); }

struct SignalWatcher::Block {
  static void on_signal(uv_signal_t* handle, int signal_number);

  uv_signal_t signal{};
  Loop& loop;
  const Delegate<void()> callback;
};

SignalWatcher::SignalWatcher(Loop& loop, int signal_number, Delegate<void()> on_signal)
    : block_(new Block{.loop = loop, .callback = on_signal}) {
  check_uv(uv_signal_init(loop.uv(), &block_->signal), "uv_signal_init");
  block_->signal.data = block_;
  check_uv(uv_signal_start(&block_->signal, Block::on_signal, signal_number), "uv_signal_start");
}

SignalWatcher::~SignalWatcher() {
  uv_close(reinterpret_cast<uv_handle_t*>(&block_->signal), free_block<Block>);
}

void SignalWatcher::Block::on_signal(uv_signal_t* handle, int) {
  auto& block = *static_cast<Block*>(handle->data);
  block.loop.refresh_time();
  block.callback();
}

}  // namespace penstock
