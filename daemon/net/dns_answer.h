// What DNS or the hosts file said about a name, as a value.
#pragma once

#include <optional>

#include "base/error.h"
#include "base/time.h"
#include "net/resolver.h"

namespace penstock {

struct DnsAnswer {
  AddressList addresses{};  // IPv6 first, each family in the order of its answer, port 0
  Duration ttl{};           // of the addresses: the least of their records'
  bool from_hosts_file = false;
  // The family was answered, with addresses or with none; its silence says nothing about those.
  bool ipv4_answered = false;
  bool ipv6_answered = false;

  std::optional<Error> error{};  // why there are no addresses; set exactly when there are none
  bool negative = false;         // the error is an answer: the name has no address
};

}  // namespace penstock
