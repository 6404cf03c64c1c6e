// The addresses of one family of one name, asked for until a server answers.
//
// A server that fails or refuses, or is silent for dns.attempt_timeout, is followed by the next.
// For want of a descriptor it ends at once: whoever asked waits for one. Owner: DnsLookup. Thread:
// the DNS loop's. Its callback may come inside start(); c-ares is on the stack then, so that
// nothing that belongs to c-ares may end in it. The destructor gives up.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/delegate.h"
#include "base/time.h"
#include "net/name_servers.h"
#include "net/resolver.h"

namespace penstock {

enum class QuestionState : std::uint8_t {
  kAsking,
  kAddresses,
  kNoAddresses,  // the name exists, or at least that was not denied
  kNoSuchName,
  kFailed,
  kTimedOut,
  kShortage,  // nobody could be asked, and that passes
};

class DnsQuestion {
 public:
  // `family`: AF_INET or AF_INET6.
  DnsQuestion(std::shared_ptr<NameServers> servers, std::string name, int family,
              Delegate<void()> on_end);
  DnsQuestion(const DnsQuestion&) = delete;
  DnsQuestion& operator=(const DnsQuestion&) = delete;
  ~DnsQuestion();

  void start() { ask_next(); }
  // What has not been answered by now has timed out. Does not call back.
  void give_up();

  QuestionState state() const { return state_; }
  bool ended() const { return state_ != QuestionState::kAsking; }
  const AddressList& addresses() const { return addresses_; }
  Duration ttl() const { return ttl_; }
  // For people: why there are no addresses.
  const std::string& reason() const { return reason_; }
  // errno, when kShortage.
  int sys() const { return sys_; }

 private:
  struct Try;

  void ask_next();
  static void on_answer(void* context, int status, int timeouts, unsigned char* reply, int bytes);
  void take(int status, const unsigned char* reply, int bytes);
  void take_failure(int status);
  CaresChannel& server() const { return servers_->server(first_server_ + tries_ - 1); }
  void end(QuestionState state, std::string reason);

  const std::shared_ptr<NameServers> servers_;
  const std::string name_;
  const int family_;
  const Delegate<void()> on_end_;
  const std::size_t first_server_;
  Try* try_ = nullptr;  // c-ares': it ends with its answer
  std::size_t tries_ = 0;
  QuestionState state_ = QuestionState::kAsking;
  AddressList addresses_;
  Duration ttl_{};
  std::string reason_;
  int sys_ = 0;
};

}  // namespace penstock
