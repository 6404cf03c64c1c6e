// How a result of the DNS thread comes to whoever asked, on the asker's thread.
//
// A DnsMailbox is the way to one asker's thread: whoever owns that thread's executor closes it
// first, and what is posted later is dropped. A DnsTicket stands for one handler: shared by the
// asker, who may cancel at any moment on its own thread, and by the DNS thread, which posts tasks
// that hold it. Only the asker's thread looks inside.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "event/executor.h"
#include "net/address_history.h"
#include "net/address_observer.h"
#include "net/resolver.h"

namespace penstock {

class DnsMailbox {
 public:
  // `observer`: may be nullptr.
  DnsMailbox(Executor& executor, AddressObserver* observer)
      : executor_(&executor), observer_(observer) {}

  // The executor's thread. Nothing is posted afterwards, and nothing that was posted calls.
  void close();

  // Any thread.
  template <typename F>
  void post(F&& work) {
    const std::lock_guard lock(mutex_);
    if (executor_ != nullptr) penstock::post(*executor_, std::forward<F>(work));
  }

  // The executor's thread.
  void tell(const std::string& host, const std::vector<AddressChange>& changes);

 private:
  std::mutex mutex_;
  Executor* executor_;         // guarded by mutex_; null once closed
  AddressObserver* observer_;  // the executor's thread; null once closed
};

// What an asker gets: addresses, or an error.
struct DnsOutcome {
  std::shared_ptr<const AddressList> addresses{};
  std::optional<Error> error{};
  bool complete = true;
};

class DnsTicket {
 public:
  DnsTicket(std::shared_ptr<DnsMailbox> mailbox, ResolveHandler& handler)
      : mailbox_(std::move(mailbox)), handler_(&handler) {}

  // The asker's thread.
  void cancel() { handler_ = nullptr; }

  // Any thread: the handler is called on the asker's.
  static void deliver(const std::shared_ptr<DnsTicket>& ticket, const DnsOutcome& outcome);

 private:
  void complete(const DnsOutcome& outcome);

  const std::shared_ptr<DnsMailbox> mailbox_;
  ResolveHandler* handler_;  // null once cancelled or over
};

using DnsTicketRef = std::shared_ptr<DnsTicket>;

}  // namespace penstock
