// What earlier dials learned of each host: the family that won, the addresses that failed lately,
// whose turn it is. It says in which order the next dial tries the addresses, never that it may
// not.
//
// Owner: a NetDialer. Thread: its loop's. Holds the hosts that were dialled last, within a bound.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "event/clock.h"
#include "net/address.h"
#include "net/resolver.h"

namespace penstock {

class DialMemory {
 public:
  static constexpr std::size_t kMostHosts = 4096;
  // Of one host; the one whose back-off ends first goes.
  static constexpr std::size_t kMostFailures = 16;
  // How long an address that failed stands behind the others: doubled with each failure in a row.
  static constexpr Duration kFirstBackoff = std::chrono::seconds(1);
  static constexpr Duration kLongestBackoff = std::chrono::minutes(2);
  static constexpr double kJitter = 0.2;  // as a share, up or down: dialers must not fall in step
  // A family that won is not preferred for ever, or the other one, broken for a moment, would never
  // have its turn again.
  static constexpr Duration kFamilyKept = std::chrono::minutes(10);

  // `clock` outlives it. `seed` decides jitter and where the turns of a host begin.
  DialMemory(const Clock& clock, std::uint64_t seed, std::size_t most_hosts = kMostHosts);
  DialMemory(const DialMemory&) = delete;
  DialMemory& operator=(const DialMemory&) = delete;

  // A number for one dial to this host, which rotates its addresses.
  std::size_t take_turn(std::string_view host);

  // The order for a dial that has tried nothing yet: the family that won last first, else IPv6;
  // addresses that failed lately behind all others. An address whose back-off is over and that
  // comes first is backed off again at once, so that one dial finds out for all.
  AddressList order(std::string_view host, const AddressList& addresses, std::size_t turn);
  // The order for a dial that has begun with an address of `tried_family`: the other one is next.
  AddressList order_after(int tried_family, std::string_view host, const AddressList& addresses,
                          std::size_t turn);

  void on_success(std::string_view host, const SocketAddress& address);
  // Counts once per back-off, however many dials fail meanwhile.
  void on_failure(std::string_view host, const SocketAddress& address);

  std::size_t size() const { return hosts_.size(); }

 private:
  struct Failure {
    SocketAddress address;
    int count;
    MonotonicTime until;
  };
  struct Host {
    std::string name;
    std::size_t next_turn;
    int winner;  // a family, or AF_UNSPEC
    MonotonicTime won_at;
    std::vector<Failure> failures;
  };
  using Hosts = std::list<Host>;

  Host& find_or_add(std::string_view name);
  bool knows_winner(const Host& host) const;
  AddressList order_from(int family, const Host& host, const AddressList& addresses,
                         std::size_t turn) const;
  void back_off(Failure& failure);
  static void make_room(std::vector<Failure>& failures);

  const Clock& clock_;
  const std::size_t most_hosts_;
  std::minstd_rand random_;
  Hosts hosts_;                                                  // dialled last first
  std::unordered_map<std::string_view, Hosts::iterator> index_;  // by Host::name
};

}  // namespace penstock
