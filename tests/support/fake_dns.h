// A DNS server for tests, on the loop of the resolver that asks it: one port of 127.0.0.1 for UDP
// and TCP, answers as told, a list of what was asked.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event/watcher.h"
#include "net/listener.h"
#include "net/tcp_stream.h"
#include "net/unique_fd.h"

namespace penstock {

class Loop;

class FakeDns {
 public:
  struct Zone {
    std::vector<std::string> addresses{};  // of either family; each query gets its own
    std::string cname{};                   // answered before the addresses, which are its own
    int rcode = 0;                         // 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED
    int ignored = 0;                       // as many queries stay without an answer
    bool garbage_first = false;            // sends nonsense and a query before the answer
    bool truncated = false;                // UDP only says: ask again by TCP
    int ttl = 60;                          // seconds
    int silent_type = 0;                   // queries of this type stay without an answer
  };

  explicit FakeDns(Loop& loop);
  ~FakeDns();

  std::string address() const;  // "127.0.0.1:5353"
  // Names that are not here do not exist.
  Zone& operator[](const std::string& name) { return zones_[name]; }
  // How many queries of this type have come for the name (1: A, 28: AAAA).
  int count(const std::string& name, int type) const;
  int count() const { return static_cast<int>(asked_.size()); }

 private:
  struct Client;  // by TCP

  void on_udp(Readiness ready);
  void on_accepted(int fd, const SocketAddress& peer);
  // Empty: silence.
  std::string answer(std::string_view query, bool by_tcp);

  Loop& loop_;
  UniqueFd udp_;
  std::unique_ptr<Watcher> watcher_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<std::string, Zone> zones_;
  std::vector<std::pair<std::string, int>> asked_;
};

}  // namespace penstock
