// The name servers to ask, and how names are completed: one reading of the settings and of
// resolv.conf, which c-ares does. What changes makes a new object; look-ups keep theirs.
//
// Owner: DnsService and the look-ups under way, shared. Thread: its loop's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/delegate.h"
#include "base/result.h"
#include "base/time.h"
#include "net/cares_channel.h"

namespace penstock {

struct NameServerOptions {
  std::vector<std::string> servers{};  // address[:port]; empty: those of resolv.conf
  Duration attempt_timeout = std::chrono::seconds(1);
  std::uint32_t attempts = 2;  // on the servers in turn
  std::string resolv_conf = "/etc/resolv.conf";
};

class NameServers {
 public:
  // on_progress: answers have come, c-ares is not on the stack. Fails when the servers make no
  // sense or memory is out; a resolv.conf that is not there means the server of this machine.
  static Result<std::shared_ptr<NameServers>> create(Loop& loop, const NameServerOptions& options,
                                                     Delegate<void()> on_progress);

  // The names that may be meant, in the order in which they are tried (resolv.conf(5), ndots and
  // search): the next one only when the one before has no addresses. A final dot means: this one.
  std::vector<std::string> candidates(const std::string& host) const;

  // The n-th server; the list starts anew after its end.
  CaresChannel& server(std::size_t n) const { return *channels_[n % channels_.size()]; }
  // Where a new question begins: with the server that answered last, so that not every name waits
  // for one that is down.
  std::size_t first() const { return first_; }
  void answered(std::size_t n) { first_ = n % channels_.size(); }
  // How often one question is asked: each server once, but no fewer than the attempts.
  std::size_t tries() const { return tries_; }
  // By when a question has ended, however many tries that takes.
  Duration time_limit() const { return time_limit_; }

  // Equal for two that ask the same servers the same questions.
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  NameServers() = default;

  std::vector<std::unique_ptr<CaresChannel>> channels_;  // one per server, never empty
  std::vector<std::string> search_;
  int ndots_ = 1;
  std::size_t first_ = 0;
  std::size_t tries_ = 1;
  Duration time_limit_{};
  std::string fingerprint_;
};

}  // namespace penstock
