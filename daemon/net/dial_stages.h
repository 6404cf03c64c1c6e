// The first and the last stage of a dial, each with one limit and one completion (the stage between
// them is in connect_stage.h).
//
// Owner: a Dial. Thread: its loop's. A completion may come inside start() and may destroy the
// stage; destroying it before cancels.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/delegate.h"
#include "base/result.h"
#include "event/timer_wheel.h"
#include "net/descriptor_queue.h"
#include "net/dialer.h"
#include "net/resolver.h"
#include "net/tls_stream.h"

namespace penstock {

class Loop;

struct ResolvedAddresses {
  AddressList addresses;
  bool complete;
};

// A name to addresses. `done` comes once, or twice: first with those of one family only, then with
// all. The limit is over both; once some addresses are known, its end is no error. For want of a
// file descriptor it waits for one, within timeouts.queue, and then asks anew.
class ResolveStage final : private ResolveHandler {
 public:
  struct Events {
    Delegate<void(Result<ResolvedAddresses>)> done;
    // It waits for a descriptor (kQueue), or goes on (kResolve). False: the stage was destroyed.
    Delegate<bool(Phase)> entered;
  };
  struct Outside {
    Loop& loop;
    Resolver& resolver;
    DescriptorQueue& descriptors;
  };

  // What it is given outlives it.
  ResolveStage(const Outside& outside, const std::string& host, Events events);
  void start(const DialLimits& limits);

 private:
  void ask();
  void wait_for_descriptor();
  void go_on();
  void on_resolved(const AddressList& addresses, bool complete) override;
  void on_resolve_failed(Error error) override;
  void on_expired();
  void finish(Result<ResolvedAddresses> result);

  Loop& loop_;
  Resolver& resolver_;
  DescriptorQueue& descriptors_;
  const std::string& host_;
  const Events events_;
  DialLimits limits_;
  DescriptorQueue::Place place_;
  MonotonicTime queue_until_ = kNever;  // set by the first shortage
  Deadline deadline_;                   // of the look-up, or of the wait for a descriptor
  Pending lookup_;
  AddressList first_part_;
};

// A connected socket to a verified TLS stream.
class HandshakeStage final : private StreamHandler {
 public:
  // Comes once.
  using Completion = Delegate<void(Result<std::unique_ptr<TlsStream>>)>;

  HandshakeStage(Loop& loop, std::unique_ptr<TlsStream> stream, Completion done);
  void start(std::optional<Duration> limit);

 private:
  void on_readable() override { step(); }
  void on_writable() override { step(); }
  void step();
  void on_expired();
  void finish(Result<std::unique_ptr<TlsStream>> result);

  Loop& loop_;
  const Completion done_;
  Deadline deadline_;
  std::unique_ptr<TlsStream> stream_;
};

}  // namespace penstock
