#include "event/watcher.h"

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
  Block(Loop& the_loop, Callback callback, Watcher* watcher)
      : loop(the_loop), on_ready(callback), owner(watcher) {}

  static void on_poll(uv_poll_t* handle, int status, int events);
  void start();
  void restart_after_error();

  uv_poll_t poll{};
  Loop& loop;
  const Callback on_ready;
  Watcher* owner;  // null once that has ended
};

Watcher::Watcher(Loop& loop, int fd, Callback on_ready) : block_(new Block(loop, on_ready, this)) {
  check_uv(uv_poll_init(loop.uv(), &block_->poll, fd), "uv_poll_init");
  block_->poll.data = block_;
}

// uv_close takes the descriptor out of the poll set by its number, at once.
Watcher::~Watcher() {
  block_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&block_->poll), free_block<Block>);
}

void Watcher::set_interest(bool readable, bool writable) {
  if (readable == readable_ && writable == writable_) return;
  readable_ = readable;
  writable_ = writable;
  if (readable || writable) {
    block_->start();
  } else {
    uv_poll_stop(&block_->poll);
  }
}

void Watcher::Block::start() {
  const int events = (owner->readable_ ? UV_READABLE : 0) | (owner->writable_ ? UV_WRITABLE : 0);
  check_uv(uv_poll_start(&poll, events, on_poll), "uv_poll_start");
}

// libuv stops a handle that met an error condition; there may be more to read before it.
void Watcher::Block::restart_after_error() {
  if (owner == nullptr || (!owner->readable_ && !owner->writable_)) return;
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(&poll)) == 0) start();
}

void Watcher::Block::on_poll(uv_poll_t* handle, int status, int events) {
  auto& block = *static_cast<Block*>(handle->data);
  block.loop.refresh_time();
  if (status == 0) {
    block.on_ready({(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0});
    return;
  }
  block.on_ready({true, block.owner->writable_});
  block.restart_after_error();
}

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
