#include "support/fake_dns.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "event/loop.h"

namespace penstock {

namespace {

constexpr int kTypeA = 1;
constexpr int kTypeCname = 5;
constexpr int kTypeAaaa = 28;
constexpr std::size_t kHeaderBytes = 12;

void put16(std::string& out, int value) {
  out.push_back(static_cast<char>(value >> 8));
  out.push_back(static_cast<char>(value));
}

int get16(std::string_view bytes) {
  return static_cast<std::uint8_t>(bytes[0]) << 8 | static_cast<std::uint8_t>(bytes[1]);
}

std::string encode_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out.push_back(static_cast<char>(label.size()));
    out += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return out + '\0';
}

std::string decode_name(std::string_view wire) {
  std::string name;
  while (!wire.empty() && wire[0] != 0) {
    const auto length = static_cast<std::size_t>(wire[0]);
    name += (name.empty() ? "" : ".") + std::string(wire.substr(1, length));
    wire.remove_prefix(length + 1);
  }
  return name;
}

void put_record(std::string& out, const std::string& name, int type, int ttl,
                std::string_view data) {
  out += name;
  put16(out, type);
  put16(out, 1);  // IN
  put16(out, ttl >> 16);
  put16(out, ttl & 0xffff);
  put16(out, static_cast<int>(data.size()));
  out += data;
}

std::string address_data(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    const auto& v4 = *reinterpret_cast<const sockaddr_in*>(address.data());
    return {reinterpret_cast<const char*>(&v4.sin_addr), 4};
  }
  const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(address.data());
  return {reinterpret_cast<const char*>(&v6.sin6_addr), 16};
}

// How many records were written.
int put_answers(std::string& out, const std::string& question, int type,
                const FakeDns::Zone& zone) {
  int records = 0;
  std::string owner = question;
  if (!zone.cname.empty()) {
    put_record(out, owner, kTypeCname, zone.ttl, encode_name(zone.cname));
    owner = encode_name(zone.cname);
    ++records;
  }
  for (const std::string& ip : zone.addresses) {
    const SocketAddress address = *SocketAddress::from_ip(ip, 0);
    if ((address.family() == AF_INET) != (type == kTypeA)) continue;
    put_record(out, owner, type, zone.ttl, address_data(address));
    ++records;
  }
  return records;
}

}  // namespace

// A message by TCP has its length before it (RFC 1035 section 4.2.2).
struct FakeDns::Client final : StreamHandler {
  Client(FakeDns& dns, Loop& loop, int fd) : server(dns), stream(loop, fd) {
    stream.set_handler(this);
  }

  void on_readable() override {
    std::array<char, 512> into;
    const IoResult got = stream.read(into);
    if (got.status == IoStatus::kWouldBlock) return;
    if (got.status != IoStatus::kOk) return stream.set_handler(nullptr);
    received.append(into.data(), got.bytes);
    while (received.size() > 2 && received.size() >= length() + 2) {
      const std::string reply = server.answer(std::string_view(received).substr(2, length()), true);
      received.erase(0, length() + 2);
      std::string framed;
      put16(framed, static_cast<int>(reply.size()));
      EXPECT_EQ(stream.write(framed + reply).bytes, reply.size() + 2);
    }
  }
  void on_writable() override {}
  std::size_t length() const { return static_cast<std::size_t>(get16(received)); }

  FakeDns& server;
  TcpStream stream;
  std::string received;
};

// The kernel's choice of a UDP port may be taken for TCP: then another one.
FakeDns::FakeDns(Loop& loop) : loop_(loop) {
  for (int attempt = 0; attempt < 100 && !listener_; ++attempt) {
    udp_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(any);
    auto* address = reinterpret_cast<sockaddr*>(&any);
    EXPECT_EQ(::bind(udp_.get(), address, length), 0);
    EXPECT_EQ(::getsockname(udp_.get(), address, &length), 0);
    const auto tcp = listen_tcp(SocketAddress::from_sockaddr(address, length));
    if (!tcp) continue;
    listener_ = std::make_unique<Listener>(loop, *tcp,
                                           Listener::OnAccepted::to<&FakeDns::on_accepted>(*this));
  }
  watcher_ =
      std::make_unique<Watcher>(loop, udp_.get(), Watcher::Callback::to<&FakeDns::on_udp>(*this));
  watcher_->set_interest(true, false);
}

FakeDns::~FakeDns() { watcher_.reset(); }

std::string FakeDns::address() const { return listener_->local_address().to_string(); }

int FakeDns::count(const std::string& name, int type) const {
  return static_cast<int>(std::count(asked_.begin(), asked_.end(), std::pair(name, type)));
}

void FakeDns::on_accepted(int fd, const SocketAddress&) {
  clients_.push_back(std::make_unique<Client>(*this, loop_, fd));
}

void FakeDns::on_udp(Readiness) {
  std::array<char, 512> query;
  sockaddr_storage from{};
  socklen_t length = sizeof(from);
  auto* peer = reinterpret_cast<sockaddr*>(&from);
  const ssize_t got = ::recvfrom(udp_.get(), query.data(), query.size(), 0, peer, &length);
  if (got <= 0) return;
  const std::string_view bytes(query.data(), static_cast<std::size_t>(got));
  const std::string reply = answer(bytes, false);
  if (reply.empty()) return;
  const std::string name = decode_name(bytes.substr(kHeaderBytes));
  if (zones_.contains(name) && zones_[name].garbage_first) {
    std::string other_id = reply;
    other_id[0] = static_cast<char>(~other_id[0]);
    ::sendto(udp_.get(), other_id.data(), other_id.size(), 0, peer, length);
    std::string no_response = reply;
    no_response[2] = static_cast<char>(no_response[2] & 0x7f);
    no_response[3] = static_cast<char>(no_response[3] | 3);  // NXDOMAIN
    for (int i = 0; i < 20; ++i) {
      ::sendto(udp_.get(), no_response.data(), no_response.size(), 0, peer, length);
    }
  }
  ::sendto(udp_.get(), reply.data(), reply.size(), 0, peer, length);
}

std::string FakeDns::answer(std::string_view query, bool by_tcp) {
  const std::size_t name_bytes = query.find('\0', kHeaderBytes) + 1 - kHeaderBytes;
  const std::string question(query.substr(kHeaderBytes, name_bytes));
  const std::string name = decode_name(question);
  const int type = get16(query.substr(kHeaderBytes + name_bytes));
  asked_.emplace_back(name, type);

  const auto found = zones_.find(name);
  Zone zone = found == zones_.end() ? Zone{.rcode = 3} : found->second;
  if (zone.silent_type == type) return "";
  if (zone.ignored > 0) {
    --found->second.ignored;
    return "";
  }
  const bool truncated = zone.truncated && !by_tcp;
  if (truncated) zone.addresses.clear();
  std::string records;
  const int count = zone.rcode == 0 ? put_answers(records, question, type, zone) : 0;
  std::string reply(query.substr(0, 2));
  put16(reply, 0x8180 | (truncated ? 0x0200 : 0) | zone.rcode);
  put16(reply, 1);
  put16(reply, count);
  put16(reply, 0);
  put16(reply, 0);
  reply += query.substr(kHeaderBytes, name_bytes + 4);
  return reply + records;
}

}  // namespace penstock
