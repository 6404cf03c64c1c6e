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
  // All that is known: at least one address, port 0, each family in the order of its answer. Comes
  // once more, with the full list, when `complete` is false: the other family is still being asked
  // (RFC 8305 section 3 has us begin with what is there).
  virtual void on_resolved(const AddressList& addresses, bool complete) = 0;
  // dns_error or dns_timeout, phase kResolve; or what is_shortage() of its `sys` says will pass.
  // Never after on_resolved().
  virtual void on_resolve_failed(Error error) = 0;

 protected:
  ~ResolveHandler() = default;
};

// Thread: the loop it was made for. Ends after its last Pending.
class Resolver {
 public:
  virtual ~Resolver() = default;
  // What is known completely is returned at once; otherwise the handler is called on a later turn.
  [[nodiscard]] virtual std::variant<AddressList, Pending, Error> resolve(
      const std::string& host, ResolveHandler& handler) = 0;
  // There are connections to this name: its addresses are looked at although nobody asks.
  virtual void keep_fresh(const std::string& /*host*/) {}
};

}  // namespace penstock
