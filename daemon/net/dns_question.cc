#include "net/dns_question.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

namespace penstock {

namespace {

// RFC 1035 section 3.2.2, RFC 3596 section 2.1.
constexpr int kTypeA = 1;
constexpr int kTypeAaaa = 28;
// More of one family are not looked at.
constexpr int kMaxAddresses = 256;

template <typename Sockaddr>
SocketAddress to_address(const Sockaddr& address) {
  return SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

SocketAddress to_address(const ares_addrttl& record) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr = record.ipaddr;
  return to_address(address);
}

SocketAddress to_address(const ares_addr6ttl& record) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::copy_n(record.ip6addr._S6_un._S6_u8, sizeof address.sin6_addr.s6_addr,
              address.sin6_addr.s6_addr);
  return to_address(address);
}

struct Records {
  int status = ARES_SUCCESS;
  AddressList addresses{};
  Duration ttl{};
};

// The TTL of a chain of CNAMEs is the least of its records', which c-ares has seen to.
template <typename Record, typename Parse>
Records read_records(Parse parse, const unsigned char* reply, int bytes) {
  std::array<Record, kMaxAddresses> records;
  int count = kMaxAddresses;
  Records read{.status = parse(reply, bytes, nullptr, records.data(), &count)};
  if (read.status != ARES_SUCCESS) return read;
  for (int i = 0; i < count; ++i) {
    const Record& record = records[static_cast<std::size_t>(i)];
    const std::chrono::seconds ttl(std::max(record.ttl, 0));  // RFC 2181 section 8
    read.ttl = i == 0 ? ttl : std::min<Duration>(read.ttl, ttl);
    read.addresses.push_back(to_address(record));
  }
  return read;
}

std::string failure_reason(int status) {
  switch (status) {
    case ARES_ESERVFAIL:
      return "the name server failed (SERVFAIL)";
    case ARES_EREFUSED:
      return "the name server refused to answer (REFUSED)";
    case ARES_ECONNREFUSED:
      return "the name server cannot be reached";
    default:
      return std::string("the name server's answer is of no use: ") + ares_strerror(status);
  }
}

}  // namespace

struct DnsQuestion::Try {
  DnsQuestion* question;  // null once it has given up
};

DnsQuestion::DnsQuestion(std::shared_ptr<NameServers> servers, std::string name, int family,
                         Delegate<void()> on_end)
    : servers_(std::move(servers)),
      name_(std::move(name)),
      family_(family),
      on_end_(on_end),
      first_server_(servers_->first()) {}

DnsQuestion::~DnsQuestion() {
  if (try_ != nullptr) try_->question = nullptr;
}

void DnsQuestion::ask_next() {
  try_ = new Try{this};
  ++tries_;
  server().ask(name_, family_ == AF_INET6 ? kTypeAaaa : kTypeA, on_answer, try_);
}

void DnsQuestion::on_answer(void* context, int status, int, unsigned char* reply, int bytes) {
  const std::unique_ptr<Try> answered(static_cast<Try*>(context));
  DnsQuestion* self = answered->question;
  if (self == nullptr) return;
  self->try_ = nullptr;
  self->take(status, reply, bytes);
}

void DnsQuestion::take(int status, const unsigned char* reply, int bytes) {
  Records records{.status = status};
  if (status == ARES_SUCCESS) {
    records = family_ == AF_INET6 ? read_records<ares_addr6ttl>(ares_parse_aaaa_reply, reply, bytes)
                                  : read_records<ares_addrttl>(ares_parse_a_reply, reply, bytes);
  }
  const bool answered = records.status == ARES_SUCCESS || records.status == ARES_ENODATA ||
                        records.status == ARES_ENOTFOUND;
  if (!answered) return take_failure(records.status);
  servers_->answered(first_server_ + tries_ - 1);
  if (records.status == ARES_ENOTFOUND)
    return end(QuestionState::kNoSuchName, "the name does not exist (NXDOMAIN)");
  if (records.addresses.empty())
    return end(QuestionState::kNoAddresses, "the name has no addresses");
  addresses_ = std::move(records.addresses);
  ttl_ = records.ttl;
  end(QuestionState::kAddresses, "");
}

// After the last attempt's silence it is the look-up's limit that ends the question, to the tick.
void DnsQuestion::take_failure(int status) {
  sys_ = server().shortage();
  if (sys_ != 0) return end(QuestionState::kShortage, std::generic_category().message(sys_));
  if (tries_ < servers_->tries()) return ask_next();
  if (status == ARES_ETIMEOUT) return;
  end(QuestionState::kFailed, failure_reason(status));
}

void DnsQuestion::give_up() {
  if (ended()) return;
  if (try_ != nullptr) std::exchange(try_, nullptr)->question = nullptr;
  state_ = QuestionState::kTimedOut;
  reason_ = "no name server answered";
}

void DnsQuestion::end(QuestionState state, std::string reason) {
  state_ = state;
  reason_ = std::move(reason);
  on_end_();
}

}  // namespace penstock
