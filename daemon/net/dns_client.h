// A worker's side of DnsService: what is known is returned at once, the rest comes by post.
//
// Owner: a Worker. Thread: its loop's. Ends after its last Pending, before the executor and the
// service.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "net/address_observer.h"
#include "net/dns_ticket.h"
#include "net/resolver.h"

namespace penstock {

class Clock;
class DnsService;
class Executor;

class DnsClient final : public Resolver {
 public:
  // `observer`, which may be nullptr, hears of addresses that leave names on this thread.
  DnsClient(DnsService& service, Executor& executor, const Clock& clock,
            AddressObserver* observer = nullptr);
  DnsClient(const DnsClient&) = delete;
  DnsClient& operator=(const DnsClient&) = delete;
  ~DnsClient() override;

  std::variant<AddressList, Pending, Error> resolve(const std::string& host,
                                                    ResolveHandler& handler) override;
  // As DnsService::keep_fresh().
  void keep_fresh(const std::string& host) override;

 private:
  DnsService& service_;
  const Clock& clock_;
  const std::shared_ptr<DnsMailbox> mailbox_;
};

}  // namespace penstock
