#include "net/cares_resolver.h"

#include <ares.h>

#include <optional>
#include <utility>

#include "event/loop.h"
#include "net/cares_channel.h"

namespace penstock {

namespace {

struct FreeAnswer {
  void operator()(ares_addrinfo* answer) const { ares_freeaddrinfo(answer); }
};

AddressList addresses_in(const ares_addrinfo* answer) {
  AddressList addresses;
  const ares_addrinfo_node* node = answer == nullptr ? nullptr : answer->nodes;
  for (; node != nullptr; node = node->ai_next) {
    addresses.push_back(SocketAddress::from_sockaddr(node->ai_addr, node->ai_addrlen));
    addresses.back().set_port(0);
  }
  return addresses;
}

// c-ares goes on to the next server when one answers SERVFAIL or REFUSED, and forgets why.
std::string reason(int status) {
  if (status == ARES_ECONNREFUSED) return "every DNS server failed, refused or was unreachable";
  return ares_strerror(status);
}

Error lookup_error(const std::string& host, int status) {
  const bool timed_out = status == ARES_ETIMEOUT;
  return {.code = timed_out ? ErrorCode::kDnsTimeout : ErrorCode::kDnsError,
          .phase = Phase::kResolve,
          .limit_key = timed_out ? "dns.attempt_timeout" : "",
          .detail = "cannot resolve " + host + ": " + reason(status)};
}

}  // namespace

class CaresResolver::Waiter final : public PendingOperation, public ListNode<> {
 public:
  explicit Waiter(ResolveHandler& handler) : handler_(handler) {}
  ~Waiter() override { unlink(); }

  void complete(const Outcome& outcome) {
    if (const auto* addresses = std::get_if<AddressList>(&outcome)) {
      handler_.on_resolved(*addresses, true);
    } else {
      handler_.on_resolve_failed(std::get<Error>(outcome));
    }
  }

 private:
  ResolveHandler& handler_;
};

struct CaresResolver::Lookup {
  CaresResolver& resolver;
  const std::string host;
  std::optional<Outcome> outcome{};
  IntrusiveList<Waiter> waiters{};
};

Result<std::unique_ptr<CaresResolver>> CaresResolver::create(Loop& loop,
                                                             const ResolverOptions& options) {
  std::unique_ptr<CaresResolver> resolver(new CaresResolver(loop));
  const auto on_progress = Delegate<void()>::to<&CaresResolver::deliver>(*resolver);
  CaresOptions channel_options{options.servers, options.attempt_timeout, options.attempts};
  for (const auto& [channel, searches] :
       {std::pair(&resolver->exact_, false), std::pair(&resolver->searching_, true)}) {
    channel_options.search_domains = searches;
    auto created = CaresChannel::create(loop, channel_options, on_progress);
    if (!created) return Unexpected{std::move(created).error()};
    *channel = *std::move(created);
  }
  return resolver;
}

CaresResolver::CaresResolver(Loop& loop)
    : loop_(loop),
      deliver_soon_(loop.timers(), Delegate<void()>::to<&CaresResolver::deliver>(*this)) {}

CaresResolver::~CaresResolver() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

CaresChannel& CaresResolver::channel_for(const std::string& host) {
  return host.find('.') == std::string::npos ? *searching_ : *exact_;
}

CaresResolver::Start CaresResolver::resolve(const std::string& host, ResolveHandler& handler) {
  if (const auto literal = SocketAddress::from_ip(host, 0)) return AddressList{*literal};

  Lookup& lookup = join_or_start(host);
  if (lookup.outcome) {
    // Answered by the hosts file just now, or by DNS and about to be delivered to earlier waiters.
    Outcome known = *lookup.outcome;
    if (lookup.waiters.empty()) forget(lookup);
    return std::visit([](auto& result) -> Start { return std::move(result); }, known);
  }
  auto waiter = std::make_unique<Waiter>(handler);
  lookup.waiters.push_back(*waiter);
  return waiter;
}

CaresResolver::Lookup& CaresResolver::join_or_start(const std::string& host) {
  if (const auto found = lookups_.find(host); found != lookups_.end()) return *found->second;
  std::unique_ptr<Lookup> started(new Lookup{.resolver = *this, .host = host});
  Lookup& lookup = *lookups_.emplace(host, std::move(started)).first->second;
  channel_for(host).query(host, on_answer, &lookup);
  // A query that cannot be sent may end others that use the same server: they are told later.
  if (!answered_.empty()) deliver_soon_.arm(loop_.now());
  return lookup;
}

void CaresResolver::forget(const Lookup& lookup) {
  std::erase(answered_, &lookup);
  lookups_.erase(lookup.host);
}

// c-ares is on the stack: no handler is called from here.
void CaresResolver::on_answer(void* context, int status, int, ares_addrinfo* answer) {
  const std::unique_ptr<ares_addrinfo, FreeAnswer> owned(answer);
  if (status == ARES_EDESTRUCTION) return;
  auto& lookup = *static_cast<Lookup*>(context);
  AddressList addresses;
  if (status == ARES_SUCCESS) addresses = addresses_in(answer);
  if (!addresses.empty()) {
    lookup.outcome = std::move(addresses);
  } else {
    lookup.outcome = lookup_error(lookup.host, status == ARES_SUCCESS ? ARES_ENODATA : status);
  }
  lookup.resolver.answered_.push_back(&lookup);
}

// Handlers may start and cancel lookups, and end the resolver.
void CaresResolver::deliver() {
  bool destroyed = false;
  destroyed_ = &destroyed;
  while (!answered_.empty()) {
    const auto found = lookups_.extract(answered_.front()->host);
    answered_.erase(answered_.begin());
    Lookup& lookup = *found.mapped();
    while (Waiter* waiter = lookup.waiters.pop_front()) {
      waiter->complete(*lookup.outcome);
      if (destroyed) return;
    }
  }
  destroyed_ = nullptr;
}

}  // namespace penstock
