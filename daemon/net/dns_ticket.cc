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

// A loop that was held up may find this and a limit of the asker's own due at the same time. A
// limit of the same length is the one to name, so that a timeout waits for a turn, in which timers
// fire.
void DnsTicket::deliver(const std::shared_ptr<DnsTicket>& ticket, const DnsOutcome& outcome) {
  const bool timed_out = outcome.error && outcome.error->code == ErrorCode::kDnsTimeout;
  ticket->mailbox_->post([ticket, outcome, timed_out] {
    if (!timed_out) return ticket->complete(outcome);
    ticket->mailbox_->post([ticket, outcome] { ticket->complete(outcome); });
  });
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
