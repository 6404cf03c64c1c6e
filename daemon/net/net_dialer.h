// The Dialer of the real network.
//
// Owner: a Worker. Thread: its loop's. Ends after its last Pending.
#pragma once

#include <cstdint>
#include <memory>

#include "net/descriptor_queue.h"
#include "net/dial_memory.h"
#include "net/dialer.h"
#include "net/egress.h"
#include "net/resolver.h"

namespace penstock {

class Loop;

class NetDialer final : public Dialer {
 public:
  // `loop` and `resolver` outlive it. `egress` is never null. `seed` is for the DialMemory.
  NetDialer(Loop& loop, Resolver& resolver, std::shared_ptr<const EgressPolicy> egress,
            std::uint64_t seed);

  // For dials from now on; those under way keep the policy they began with.
  void set_egress(std::shared_ptr<const EgressPolicy> egress);

  // Asked for a descriptor when there is none for a dial.
  void set_relief(DescriptorQueue::Relief relief) { descriptors_.set_relief(relief); }

  [[nodiscard]] Pending dial(std::shared_ptr<const DialTarget> target, const DialLimits& limits,
                             DialHandler& handler) override;
  void keep_fresh(const std::string& host) override { resolver_.keep_fresh(host); }
  [[nodiscard]] bool adopt(Stream& stream, WatchGate& gate) override {
    return stream.move_to(loop_, gate);
  }

 private:
  Loop& loop_;
  Resolver& resolver_;
  std::shared_ptr<const EgressPolicy> egress_;
  DialMemory memory_;
  DescriptorQueue descriptors_;
};

}  // namespace penstock
