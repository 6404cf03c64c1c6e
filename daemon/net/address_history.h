// Which addresses a name has had, and which of them have left: a value, without I/O or clock.
//
// An address is absent from the first answer that lacks it on, and has left with the first answer
// that lacks it `forget_after` later: rotating answers show a part of the addresses at a time, and
// while DNS is silent nothing leaves. An answer speaks only for the families that it answers.
#pragma once

#include <vector>

#include "base/time.h"
#include "net/dns_answer.h"

namespace penstock {

struct AddressChange {
  SocketAddress address;
  bool left;  // else it has returned
};

class AddressHistory {
 public:
  // Beyond it the address that has been absent longest is no longer followed.
  static constexpr std::size_t kMaxAddresses = 256;

  // `answer` has addresses.
  std::vector<AddressChange> update(const DnsAnswer& answer, Duration forget_after,
                                    MonotonicTime now);
  bool empty() const { return known_.empty(); }

 private:
  struct Known {
    SocketAddress address;
    MonotonicTime absent_since = kForever;  // of the present ones
    bool left = false;
  };

  void note_present(const SocketAddress& address, std::vector<AddressChange>& changes);
  void trim();

  std::vector<Known> known_;
};

}  // namespace penstock
