// Whom it concerns that an address does not belong to a name any more.
#pragma once

#include <string>

#include "net/address.h"

namespace penstock {

class AddressObserver {
 public:
  // No good answer about `host` has held the address for dns.forget_after. Its port is 0.
  virtual void on_address_left(const std::string& host, const SocketAddress& address) = 0;
  // One that had left is in an answer again.
  virtual void on_address_returned(const std::string& host, const SocketAddress& address) = 0;

 protected:
  ~AddressObserver() = default;
};

}  // namespace penstock
