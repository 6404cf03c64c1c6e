#include "net/dns_client.h"

#include <utility>

#include "event/clock.h"
#include "net/dns_service.h"

namespace penstock {

namespace {

class PendingTicket final : public PendingOperation {
 public:
  explicit PendingTicket(DnsTicketRef ticket) : ticket_(std::move(ticket)) {}
  ~PendingTicket() override { ticket_->cancel(); }

 private:
  const DnsTicketRef ticket_;
};

}  // namespace

DnsClient::DnsClient(DnsService& service, Executor& executor, const Clock& clock,
                     AddressObserver* observer)
    : service_(service), clock_(clock), mailbox_(std::make_shared<DnsMailbox>(executor, observer)) {
  service_.add_mailbox(mailbox_);
}

DnsClient::~DnsClient() {
  mailbox_->close();
  service_.remove_mailbox(*mailbox_);
}

std::variant<AddressList, Pending, Error> DnsClient::resolve(const std::string& host,
                                                             ResolveHandler& handler) {
  if (const auto literal = SocketAddress::from_ip(host, 0)) return AddressList{*literal};
  DnsCache::Found found = service_.find(host, clock_.now());
  if (found.addresses != nullptr) return *found.addresses;
  if (found.error) return *std::move(found.error);
  auto ticket = std::make_shared<DnsTicket>(mailbox_, handler);
  service_.ask(host, ticket);
  return std::make_unique<PendingTicket>(std::move(ticket));
}

void DnsClient::keep_fresh(const std::string& host) { service_.keep_fresh(host, clock_.now()); }

}  // namespace penstock
