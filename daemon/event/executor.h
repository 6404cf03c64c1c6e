// Where work runs later: the seam between the modules and a real loop (or a test's).
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace penstock {

// Work that crosses to another turn or another thread; it owns what it carries.
class Task {
 public:
  virtual ~Task() = default;
  virtual void run() = 0;
};

// Base of objects that may have to end themselves inside one of their own callbacks.
class DeferredDeletable {
 public:
  virtual ~DeferredDeletable() = default;
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Any thread. Runs the task on a later turn of this executor's thread, in order of posting.
  // Tasks that are still waiting when the executor ends are destroyed without running.
  virtual void post(std::unique_ptr<Task> task) = 0;

  // This executor's thread only. Deletes the object on a later turn, when no frame below holds it.
  virtual void defer_delete(std::unique_ptr<DeferredDeletable> object) = 0;

  virtual bool on_thread() const = 0;
};

// post() for a closure; moves it, so that it may own move-only things.
template <typename F>
void post(Executor& executor, F&& work) {
  struct Closure final : Task {
    explicit Closure(F&& f) : call(std::forward<F>(f)) {}
    void run() override { call(); }
    std::decay_t<F> call;
  };
  executor.post(std::make_unique<Closure>(std::forward<F>(work)));
}

}  // namespace penstock
