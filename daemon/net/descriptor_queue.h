// Dials that found no file descriptor, in the order in which they came.
//
// While any waits, later dials join it instead of racing it for what comes free. The first one goes
// on when a descriptor is to be had, which is looked at at once and then every 50 ms: what frees
// one (a client that leaves, another process) tells nobody. Before each pause `relief` is asked to
// give up something of ours.
//
// Owner: the NetDialer. Thread: its loop's. Ends after the dials (asserted).
#pragma once

#include <chrono>
#include <string>

#include "base/delegate.h"
#include "base/error.h"
#include "base/intrusive_list.h"
#include "event/timer_wheel.h"

namespace penstock {

class Loop;

// A wait that has come to its limit; `what_for`: "for a connection to api.test".
Error no_descriptor(const std::string& what_for);

class DescriptorQueue {
 public:
  static constexpr Duration kPause = std::chrono::milliseconds(50);
  // Gives up something that holds a descriptor. False: there is nothing.
  using Relief = Delegate<bool()>;

  // A dial's; unlinked in its destructor.
  class Place : public ListNode<> {
   public:
    // `go_on`: its turn has come and it has left the queue; may destroy it, or join again.
    explicit Place(Delegate<void()> go_on) : go_on_(go_on) {}
    ~Place() { unlink(); }

   private:
    friend class DescriptorQueue;
    const Delegate<void()> go_on_;
    bool had_its_turn_ = false;  // and found that somebody else was faster
  };

  explicit DescriptorQueue(Loop& loop);
  DescriptorQueue(const DescriptorQueue&) = delete;
  DescriptorQueue& operator=(const DescriptorQueue&) = delete;

  void set_relief(Relief relief) { relief_ = relief; }
  bool empty() const { return places_.empty(); }
  // At the end; whoever had its turn in vain, at the head. go_on() is never called inside.
  void join(Place& place);

 private:
  void on_due();
  bool make_room();

  Loop& loop_;
  Relief relief_;
  IntrusiveList<Place> places_;
  Deadline due_;
};

}  // namespace penstock
