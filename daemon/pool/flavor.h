// What a connection is, apart from where it leads: two connections of one host and one flavor are
// interchangeable, two of different flavors never are.
//
//   http://api.example/ , https://api.example/      one flavor: both end as TLS to api.example:443
//   http://svc:8080/ with `scheme: same`             plaintext: another flavor than
//   https://svc:8080/ the same host after a reload changed ca_file     another identity: the old
//   connections retire
//   the same host asked for by a client of the network   a connection that egress has judged for
//   the network; one that an app of this machine caused may lead where others must not get
//
// Immutable, shared by the host's connections, dials and waiters.
#pragma once

#include <cstdint>
#include <memory>

#include "net/dialer.h"

namespace penstock {

struct Flavor {
  // Hash of everything in the upstream's settings that decides what a connection is (scheme,
  // origin, connect_to, source_address, TLS values and the bytes of their files).
  std::uint64_t identity = 0;
  bool tls = true;
  ClientScope scope = ClientScope::kMachine;
  std::shared_ptr<const DialTarget> target;

  bool same_as(const Flavor& other) const {
    return identity == other.identity && tls == other.tls && scope == other.scope;
  }
};

using FlavorRef = std::shared_ptr<const Flavor>;

}  // namespace penstock
