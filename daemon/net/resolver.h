// Names to addresses.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/pending.h"
#include "net/address.h"

namespace penstock {

using AddressList = std::vector<SocketAddress>;

class ResolveHandler {
 public:
  virtual void on_resolved(AddressList addresses) = 0;  // at least one; port 0
  virtual void on_resolve_failed(Error error) = 0;      // dns_error or dns_timeout, phase kResolve

 protected:
  ~ResolveHandler() = default;
};

// Thread: the loop it was made for. Ends after its last Pending.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // What is known at once is returned at once; otherwise the handler is called on a later turn.
  [[nodiscard]] virtual std::variant<AddressList, Pending, Error> resolve(
      const std::string& host, ResolveHandler& handler) = 0;
};

}  // namespace penstock
