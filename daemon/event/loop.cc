#include "event/loop.h"

#include <uv.h>

#include <array>
#include <atomic>
#include <cassert>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "event/uv_check.h"
#include "event/watcher.h"

namespace penstock {

namespace {

MonotonicTime read_monotonic() {
  return MonotonicTime(Duration(static_cast<Duration::rep>(uv_hrtime())));
}

// libuv's timers count whole milliseconds of the same clock; ticks that begin on one need no
// rounding.
MonotonicTime wheel_start(MonotonicTime now) {
  return std::chrono::floor<std::chrono::milliseconds>(now);
}

// By so much a deadline may be late before somebody asks what has come in the meantime.
constexpr Duration kLate = std::chrono::milliseconds(10);

template <typename Handle>
uv_handle_t* as_handle(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}

}  // namespace

struct Loop::Impl {
  explicit Impl(Loop& owner);
  ~Impl();

  static Impl& of(const void* handle) {
    return *static_cast<Impl*>(static_cast<const uv_handle_t*>(handle)->data);
  }
  static void on_prepare(uv_prepare_t* handle);
  static void on_check(uv_check_t* handle);
  static void on_timer(uv_timer_t* handle);
  static void on_async(uv_async_t* handle);

  std::array<uv_handle_t*, 4> handles() {
    return {as_handle(async), as_handle(prepare), as_handle(check), as_handle(timer)};
  }
  void start_handles();
  void close_handles();
  void delete_deferred();
  void run_posted();
  void drop_posted();
  bool take_posted();  // into `running`
  void schedule_wakeup();

  Loop& loop;
  TimerWheel wheel;
  MonotonicTime armed_for = kForever;  // what `timer` is set to
  bool events_first = false;           // the deadlines that are due wait for a turn's events
  std::vector<std::unique_ptr<DeferredDeletable>> deferred;
  std::vector<std::unique_ptr<DeferredDeletable>> deleting;  // kept for its capacity
  std::vector<std::unique_ptr<Task>> running;                // kept for its capacity

  std::mutex mutex;
  std::vector<std::unique_ptr<Task>> posted;  // guarded by mutex
  std::atomic<bool> stopping{false};
  std::atomic<std::thread::id> thread{std::this_thread::get_id()};

  uv_loop_t uv{};
  uv_prepare_t prepare{};  // before the wait for events
  uv_check_t check{};      // after it, when they have been served
  uv_timer_t timer{};
  uv_async_t async{};
};

Loop::Impl::Impl(Loop& owner) : loop(owner), wheel(wheel_start(owner.now())) {
  // Descriptors may have run out: at start-up that is an error to report, not a reason to abort.
  const int status = uv_loop_init(&uv);
  if (status != 0) throw std::system_error(-status, std::generic_category(), "uv_loop_init");
  start_handles();
}

void Loop::Impl::start_handles() {
  check_uv(uv_async_init(&uv, &async, on_async), "uv_async_init");
  uv_prepare_init(&uv, &prepare);
  uv_check_init(&uv, &check);
  uv_timer_init(&uv, &timer);
  for (uv_handle_t* handle : handles()) handle->data = this;
  uv_prepare_start(&prepare, on_prepare);
  uv_check_start(&check, on_check);
}

Loop::Impl::~Impl() {
  drop_posted();
  delete_deferred();
  close_handles();
}

// Turns without waiting until the close callbacks have run, those of Watchers that ended last too.
void Loop::Impl::close_handles() {
  Watcher::end_taken(loop);
  for (uv_handle_t* handle : handles()) uv_close(handle, nullptr);
  while (uv.closing_handles != nullptr) uv_run(&uv, UV_RUN_NOWAIT);
  [[maybe_unused]] const int status = uv_loop_close(&uv);
  assert(status == 0 && "a Watcher outlives its Loop");
}

// What timers gave up or armed is not forgotten during the wait. libuv has read its clock after the
// last wait's callbacks.
void Loop::Impl::on_prepare(uv_prepare_t* handle) {
  Impl& self = of(handle);
  self.delete_deferred();
  self.loop.end_turn(MonotonicTime(std::chrono::milliseconds(uv_now(&self.uv))));
  self.schedule_wakeup();
}

void Loop::Impl::on_check(uv_check_t* handle) { of(handle).delete_deferred(); }

void Loop::Impl::schedule_wakeup() {
  const MonotonicTime wakeup = wheel.next_wakeup();
  if (wakeup == armed_for) return;
  armed_for = wakeup;
  if (wakeup == kForever) {
    uv_timer_stop(&timer);
    return;
  }
  // Against libuv's cached idea of now, which may lag behind: the timer's end is absolute.
  const std::int64_t due =
      std::chrono::ceil<std::chrono::milliseconds>(wakeup.time_since_epoch()).count();
  const auto now = static_cast<std::int64_t>(uv_now(&uv));
  uv_timer_start(&timer, on_timer, static_cast<std::uint64_t>(due > now ? due - now : 0), 0);
}

// The process may have stood still, or a turn took long: what the deadlines were for may be there
// by now, and events are looked at after timers. So they get one turn.
void Loop::Impl::on_timer(uv_timer_t* handle) {
  Impl& self = of(handle);
  self.loop.refresh_time();
  if (self.loop.now() > self.armed_for + kLate && !std::exchange(self.events_first, true)) {
    uv_timer_start(handle, on_timer, 1, 0);  // 0 would come before the events
    return;
  }
  self.events_first = false;
  self.armed_for = kForever;
  self.wheel.advance(self.loop.now());
  self.loop.refresh_time();  // a turn's timers come after libuv has read its clock
}

void Loop::Impl::on_async(uv_async_t* handle) {
  Impl& self = of(handle);
  self.run_posted();
  if (self.stopping.exchange(false)) uv_stop(&self.uv);
}

bool Loop::Impl::take_posted() {
  const std::lock_guard lock(mutex);
  posted.swap(running);
  return !running.empty();
}

void Loop::Impl::run_posted() {
  take_posted();
  for (std::unique_ptr<Task>& task : running) {
    loop.refresh_time();
    std::exchange(task, nullptr)->run();
  }
  running.clear();
}

// A task's destructor may post again.
void Loop::Impl::drop_posted() {
  while (take_posted()) running.clear();
}

// A destructor may defer in its turn; its members are free to go once it has returned.
void Loop::Impl::delete_deferred() {
  while (!deferred.empty()) {
    deferred.swap(deleting);
    deleting.clear();
  }
}

Loop::Loop() : now_(read_monotonic()), impl_(std::make_unique<Impl>(*this)) {}

Loop::~Loop() = default;

void Loop::run() {
  impl_->thread = std::this_thread::get_id();
  uv_run(&impl_->uv, UV_RUN_DEFAULT);
  impl_->delete_deferred();
}

void Loop::stop() {
  impl_->stopping = true;
  uv_async_send(&impl_->async);
}

void Loop::post(std::unique_ptr<Task> task) {
  bool is_first = false;
  {
    const std::lock_guard lock(impl_->mutex);
    is_first = impl_->posted.empty();
    impl_->posted.push_back(std::move(task));
  }
  if (is_first) uv_async_send(&impl_->async);
}

void Loop::defer_delete(std::unique_ptr<DeferredDeletable> object) {
  assert(on_thread());
  impl_->deferred.push_back(std::move(object));
}

bool Loop::on_thread() const { return impl_->thread.load() == std::this_thread::get_id(); }

WallTime Loop::wall_now() const {
  return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

Duration Loop::time_asleep() const {
  timespec awake{};
  timespec all{};
  clock_gettime(CLOCK_MONOTONIC, &awake);
  clock_gettime(CLOCK_BOOTTIME, &all);
  return std::chrono::seconds(all.tv_sec - awake.tv_sec) + Duration(all.tv_nsec - awake.tv_nsec);
}

void Loop::refresh_time() {
  now_ = read_monotonic();
  turn_began_ = std::min(turn_began_, now_);
}

// Should another thread take the longest one between the load and the store, what is lost is no
// longer than what it took.
void Loop::end_turn(MonotonicTime end) {
  if (turn_began_ == kForever) return;
  const Duration turn = std::max(now_, end) - turn_began_;
  turn_began_ = kForever;
  patient_time_ = {};
  if (turn > longest_turn_.load(std::memory_order_relaxed)) {
    longest_turn_.store(turn, std::memory_order_relaxed);
  }
}

TimerWheel& Loop::timers() { return impl_->wheel; }

uv_loop_t* Loop::uv() { return &impl_->uv; }

}  // namespace penstock
