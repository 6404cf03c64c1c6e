#include "net/dns_service.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "event/loop.h"

namespace penstock {

namespace {

constexpr Duration kFileCheckInterval = std::chrono::seconds(1);

DnsResult result_of(DnsState state) {
  switch (state) {
    case DnsState::kFresh:
      return DnsResult::kHit;
    case DnsState::kStale:
      return DnsResult::kStale;
    case DnsState::kNegative:
      return DnsResult::kNegative;
    case DnsState::kFailed:
      return DnsResult::kError;
    case DnsState::kUnknown:
      return DnsResult::kMiss;
  }
  return DnsResult::kMiss;
}

Error too_many_lookups(const std::string& host) {
  return {.code = ErrorCode::kDnsError,
          .source = ErrorSource::kInternal,
          .phase = Phase::kResolve,
          .detail = "cannot resolve " + host + ": " + std::to_string(DnsService::kMaxLookups) +
                    " other names are being looked up"};
}

DnsAnswer from_hosts_file(AddressList addresses) {
  std::stable_partition(addresses.begin(), addresses.end(),
                        [](const SocketAddress& address) { return address.family() == AF_INET6; });
  return {.addresses = std::move(addresses),
          .from_hosts_file = true,
          .ipv4_answered = true,
          .ipv6_answered = true};
}

}  // namespace

std::string_view to_string(DnsResult result) {
  switch (result) {
    case DnsResult::kHit:
      return "hit";
    case DnsResult::kMiss:
      return "miss";
    case DnsResult::kStale:
      return "stale";
    case DnsResult::kNegative:
      return "negative";
    case DnsResult::kError:
      return "error";
  }
  return "";
}

struct DnsService::Flight {
  Flight(DnsService& owner, const std::string& host)
      : service(owner),
        lookup(owner.clock_, owner.timers_, owner.servers_, host,
               {.on_answer = Delegate<void()>::to<&Flight::on_answer>(*this),
                .on_timer = Delegate<void()>::to<&Flight::on_timer>(*this)}) {}

  void on_answer() {
    if (!std::exchange(has_news, true)) service.with_news_.push_back(this);
  }
  void on_timer() {
    on_answer();
    service.advance_flights();
  }
  void add(DnsTicketRef ticket) {
    if (const auto& partial = lookup.partial())
      DnsTicket::deliver(ticket, {.addresses = partial, .complete = false});
    waiters.push_back(std::move(ticket));
  }
  void deliver(const DnsOutcome& outcome) const {
    for (const DnsTicketRef& ticket : waiters) DnsTicket::deliver(ticket, outcome);
  }

  DnsService& service;
  DnsLookup lookup;
  std::vector<DnsTicketRef> waiters{};
  bool has_news = false;   // it is in with_news_
  bool is_current = true;  // else its servers are no longer in force
};

Result<std::unique_ptr<DnsService>> DnsService::create(const Outside& outside,
                                                       const DnsOptions& options) {
  std::unique_ptr<DnsService> service(new DnsService(outside, options));
  if (auto read = service->read_servers(options); !read) return Unexpected{std::move(read).error()};
  service->read_hosts_file();
  service->files_checked_ = outside.clock.now();
  return service;
}

DnsService::DnsService(const Outside& outside, const DnsOptions& options)
    : loop_(outside.loop),
      clock_(outside.clock),
      timers_(outside.timers),
      log_(outside.log),
      options_(options),
      refresh_(outside.timers, Delegate<void()>::to<&DnsService::on_refresh_due>(*this)),
      cache_(options.cache) {}

DnsService::~DnsService() = default;

// Settings and files

Result<void> DnsService::read_servers(const DnsOptions& options) {
  const FileStamp stamp = stamp_of(options.servers.resolv_conf);
  auto servers = NameServers::create(loop_, options.servers,
                                     Delegate<void()>::to<&DnsService::advance_flights>(*this));
  if (!servers) return Unexpected{std::move(servers).error()};
  const auto before = std::exchange(servers_, *std::move(servers));
  resolv_conf_stamp_ = stamp;
  if (before == nullptr || before->fingerprint() == servers_->fingerprint()) return {};
  log_.info("the name servers have changed", {{"servers", servers_->fingerprint()}});
  for (auto& [host, flight] : flights_) {
    flight->is_current = false;
    outdated_.push_back(std::move(flight));
  }
  flights_.clear();
  {
    const std::lock_guard lock(mutex_);
    cache_.invalidate_all(clock_.now());
  }
  schedule_refresh();
  return {};
}

void DnsService::read_hosts_file() {
  hosts_stamp_ = stamp_of(options_.hosts_file);
  hosts_ = HostsFile::parse(read_text(options_.hosts_file));
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : hosts_.names()) cache_.invalidate(name, clock_.now());
  }
  schedule_refresh();
}

void DnsService::check_files() {
  if (clock_.now() < files_checked_ + kFileCheckInterval) return;
  files_checked_ = clock_.now();
  if (stamp_of(options_.hosts_file) != hosts_stamp_) read_hosts_file();
  if (stamp_of(options_.servers.resolv_conf) == resolv_conf_stamp_) return;
  if (auto read = read_servers(options_); !read) {
    log_.error("the name servers cannot be used, the old ones stay",
               {{"error", read.error().detail}});
  }
}

void DnsService::reconfigure(const DnsOptions& options) {
  post(loop_, [this, options] { apply(options); });
}

void DnsService::apply(const DnsOptions& options) {
  if (auto read = read_servers(options); !read) {
    log_.error("the DNS settings cannot be used, the old ones stay",
               {{"error", read.error().detail}});
    return;
  }
  options_ = options;
  read_hosts_file();
  const std::lock_guard lock(mutex_);
  cache_.set_limits(options.cache);
}

// Asking

DnsCache::Found DnsService::find(const std::string& host, MonotonicTime now) {
  DnsCache::Found found = read_cache(host, now);
  if (found.state != DnsState::kUnknown) add_count(result_of(found.state));
  return found;
}

DnsCache::Found DnsService::read_cache(const std::string& host, MonotonicTime now) {
  DnsCache::Found found;
  {
    const std::lock_guard lock(mutex_);
    found = cache_.find(host, now);
  }
  if (found.refresh) post(loop_, [this, host] { refresh(host); });
  return found;
}

void DnsService::ask(const std::string& host, DnsTicketRef ticket) {
  post(loop_, [this, host, ticket = std::move(ticket)]() mutable {
    admit(host, std::move(ticket));
    advance_flights();
  });
}

void DnsService::keep_fresh(const std::string& host, MonotonicTime now) {
  bool is_due = false;
  {
    const std::lock_guard lock(mutex_);
    is_due = cache_.keep_fresh(host, now);
  }
  if (is_due) post(loop_, [this, host] { refresh(host); });
}

// The answer may have come since the asker looked.
void DnsService::admit(const std::string& host, DnsTicketRef ticket) {
  const DnsCache::Found found = find(host, clock_.now());
  if (found.state == DnsState::kUnknown) {
    look_up(host, std::move(ticket));
  } else {
    DnsTicket::deliver(ticket, {.addresses = found.addresses, .error = found.error});
  }
}

void DnsService::refresh(const std::string& host) {
  look_up(host, nullptr);
  advance_flights();
}

// `ticket`: nullptr when nobody waits.
void DnsService::look_up(const std::string& host, DnsTicketRef ticket) {
  check_files();
  if (AddressList known = hosts_.find(host); !known.empty()) {
    conclude(host, from_hosts_file(std::move(known)), ticket);
  } else if (Flight* flight = join_flight(host); flight == nullptr) {
    conclude(host, {.error = too_many_lookups(host)}, ticket);
  } else if (ticket != nullptr) {
    flight->add(std::move(ticket));
  }
}

DnsService::Flight* DnsService::join_flight(const std::string& host) {
  if (const auto found = flights_.find(host); found != flights_.end()) return found->second.get();
  if (flights_.size() + outdated_.size() >= kMaxLookups) return nullptr;
  Flight& flight = *flights_.emplace(host, std::make_unique<Flight>(*this, host)).first->second;
  flight.lookup.start();
  return &flight;
}

void DnsService::conclude(const std::string& host, const DnsAnswer& answer,
                          const DnsTicketRef& ticket) {
  store(host, answer);
  if (ticket != nullptr) DnsTicket::deliver(ticket, outcome_of(host, answer, 1));
}

void DnsService::on_refresh_due() {
  std::vector<std::string> due;
  {
    const std::lock_guard lock(mutex_);
    due = cache_.take_due(clock_.now());
  }
  for (const std::string& host : due) look_up(host, nullptr);
  advance_flights();
  schedule_refresh();
}

void DnsService::schedule_refresh() {
  const std::lock_guard lock(mutex_);
  refresh_.arm(cache_.next_due());
}

// Answers

// What c-ares has brought, when it is no longer on the stack.
void DnsService::advance_flights() {
  while (!with_news_.empty()) {
    Flight& flight = *with_news_.back();
    with_news_.pop_back();
    flight.has_news = false;
    advance(flight);
  }
}

void DnsService::advance(Flight& flight) {
  switch (flight.lookup.advance()) {
    case DnsLookup::Progress::kNothingNew:
      return;
    case DnsLookup::Progress::kPartial:
      return flight.deliver({.addresses = flight.lookup.partial(), .complete = false});
    case DnsLookup::Progress::kDone:
      return finish(flight);
  }
}

void DnsService::finish(Flight& finished) {
  const std::unique_ptr<Flight> flight = take(finished);
  const std::string& host = flight->lookup.host();
  const DnsAnswer answer = flight->lookup.answer();
  if (flight->is_current) store(host, answer);
  if (!flight->waiters.empty()) flight->deliver(outcome_of(host, answer, flight->waiters.size()));
}

std::unique_ptr<DnsService::Flight> DnsService::take(Flight& flight) {
  if (flight.is_current) return std::move(flights_.extract(flight.lookup.host()).mapped());
  const auto found = std::ranges::find(outdated_, &flight, &std::unique_ptr<Flight>::get);
  std::unique_ptr<Flight> taken = std::move(*found);
  outdated_.erase(found);
  return taken;
}

void DnsService::store(const std::string& host, const DnsAnswer& answer) {
  std::vector<AddressChange> changes;
  {
    const std::lock_guard lock(mutex_);
    changes = cache_.store(host, answer, clock_.now());
  }
  if (!changes.empty()) tell(host, changes);
  schedule_refresh();
}

// Whoever waited for an answer that did not come gets the last one, where that may be served.
DnsOutcome DnsService::outcome_of(const std::string& host, const DnsAnswer& answer,
                                  std::size_t waiters) {
  if (!answer.error) {
    add_count(DnsResult::kMiss, waiters);
    return {.addresses = std::make_shared<const AddressList>(answer.addresses)};
  }
  DnsCache::Found last;
  if (!answer.negative) last = read_cache(host, clock_.now());
  if (last.addresses == nullptr) {
    add_count(answer.negative ? DnsResult::kNegative : DnsResult::kError, waiters);
    return {.error = answer.error};
  }
  add_count(DnsResult::kStale, waiters);
  log_.write_limited(LogLevel::kWarning, "dns", "DNS does not answer: the last addresses are used",
                     clock_.now(), {{"host", host}, {"error", answer.error->detail}});
  return {.addresses = last.addresses};
}

// Address changes

void DnsService::add_mailbox(std::shared_ptr<DnsMailbox> mailbox) {
  const std::lock_guard lock(mutex_);
  mailboxes_.push_back(std::move(mailbox));
}

void DnsService::remove_mailbox(const DnsMailbox& mailbox) {
  const std::lock_guard lock(mutex_);
  std::erase_if(mailboxes_, [&](const auto& each) { return each.get() == &mailbox; });
}

void DnsService::tell(const std::string& host, const std::vector<AddressChange>& changes) {
  std::vector<std::shared_ptr<DnsMailbox>> mailboxes;
  {
    const std::lock_guard lock(mutex_);
    mailboxes = mailboxes_;
  }
  for (const auto& mailbox : mailboxes) {
    mailbox->post([mailbox, host, changes] { mailbox->tell(host, changes); });
  }
}

// For people and metrics

std::vector<DnsCache::Row> DnsService::snapshot(MonotonicTime now, std::size_t max_rows) {
  const std::lock_guard lock(mutex_);
  return cache_.snapshot(now, max_rows);
}

std::uint64_t DnsService::count(DnsResult result) const {
  return counts_[static_cast<std::size_t>(result)].load(std::memory_order_relaxed);
}

void DnsService::add_count(DnsResult result, std::size_t times) {
  counts_[static_cast<std::size_t>(result)].fetch_add(times, std::memory_order_relaxed);
}

}  // namespace penstock
