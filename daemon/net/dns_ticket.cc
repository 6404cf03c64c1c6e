#include "net/dns_ticket.h"

#include <utility>

namespace penstock {

void DnsMailbox::close() {
  observer_ = nullptr;
  const std::lock_guard lock(mutex_);
  executor_ = nullptr;
}

void DnsMailbox::tell(const std::string& host, const std::vector<AddressChange>& changes) {
  for (const AddressChange& change : changes) {
    if (observer_ == nullptr) return;
    if (change.left) {
      observer_->on_address_left(host, change.address);
    } else {
      observer_->on_address_returned(host, change.address);
    }
  }
}

void DnsTicket::deliver(const std::shared_ptr<DnsTicket>& ticket, const DnsOutcome& outcome) {
  ticket->mailbox_->post([ticket, outcome] { ticket->complete(outcome); });
}

// The handler may cancel this ticket, and end the client.
void DnsTicket::complete(const DnsOutcome& outcome) {
  if (handler_ == nullptr) return;
  ResolveHandler& handler = outcome.complete ? *std::exchange(handler_, nullptr) : *handler_;
  if (outcome.error) {
    handler.on_resolve_failed(*outcome.error);
  } else {
    handler.on_resolved(*outcome.addresses, outcome.complete);
  }
}

}  // namespace penstock
