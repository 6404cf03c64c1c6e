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
#include "net/resolver.h"
#include "net/tls_stream.h"

namespace penstock {

class Loop;

struct ResolvedAddresses {
  AddressList addresses;
  bool complete;
};

// A name to addresses. `done` comes once, or twice: first with those of one family only, then with
// all. The limit is over both; once some addresses are known, its end is no error.
class ResolveStage final : private ResolveHandler {
 public:
  using Completion = Delegate<void(Result<ResolvedAddresses>)>;

  ResolveStage(Loop& loop, Resolver& resolver, Completion done);
  void start(const std::string& host, std::optional<Duration> limit);

 private:
  void on_resolved(const AddressList& addresses, bool complete) override;
  void on_resolve_failed(Error error) override;
  void on_expired();
  void finish(Result<ResolvedAddresses> result);

  Loop& loop_;
  Resolver& resolver_;
  const Completion done_;
  Deadline deadline_;
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
