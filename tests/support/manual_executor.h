// An Executor that runs when the test says so: posted tasks one by one, deferred deletions between.
#pragma once

#include <cassert>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "event/executor.h"

namespace penstock {

class ManualExecutor final : public Executor {
 public:
  ManualExecutor() = default;
  ManualExecutor(const ManualExecutor&) = delete;
  ManualExecutor& operator=(const ManualExecutor&) = delete;
  ~ManualExecutor() override { assert(!running_); }

  void post(std::unique_ptr<Task> task) override { tasks_.push_back(std::move(task)); }
  void defer_delete(std::unique_ptr<DeferredDeletable> object) override {
    graveyard_.push_back(std::move(object));
  }
  bool on_thread() const override { return !away; }
  bool away = false;  // another worker's thread is the one that runs

  // One turn: what was deferred before is deleted, then the oldest task runs. False: nothing to do.
  bool run_one() {
    const bool buried = bury();
    if (tasks_.empty()) return buried;
    const std::unique_ptr<Task> task = std::move(tasks_.front());
    tasks_.pop_front();
    running_ = true;
    task->run();
    running_ = false;
    return true;
  }
  // Until nothing is left, also of what the tasks post.
  void run_all() {
    while (run_one()) continue;
  }

  // As when the loop ends: what was posted is destroyed without running.
  void drop_posted() { std::exchange(tasks_, {}).clear(); }

  std::size_t posted() const { return tasks_.size(); }
  std::size_t deferred() const { return graveyard_.size(); }

 private:
  bool bury() {
    assert(!running_ && "nothing deferred is deleted inside a task");
    const std::vector<std::unique_ptr<DeferredDeletable>> dead = std::exchange(graveyard_, {});
    return !dead.empty();
  }

  std::deque<std::unique_ptr<Task>> tasks_;
  std::vector<std::unique_ptr<DeferredDeletable>> graveyard_;
  bool running_ = false;
};

}  // namespace penstock
