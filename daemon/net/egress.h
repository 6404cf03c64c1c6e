// Which addresses may be dialled at all, judged on the address itself after resolution, so that no
// name and no redirect of DNS leads to the metadata service or back into the proxy.
//
// A value, immutable after construction; shared by the dialers of all workers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace penstock {

class EgressPolicy {
 public:
  // `deny` and `allow` hold names (link_local, metadata, loopback, private, unspecified, any) or
  // CIDRs, valid already (is_rule()). `own` are the addresses we listen on, admin's too, matched
  // with the port; an unspecified one (0.0.0.0) stands for every address that this machine has when
  // it is dialled (the kernel is asked, only where the port is the same). IPv4 addresses
  // inside IPv6 ones (mapped, compatible, NAT64, 6to4) are judged as well as the whole.
  EgressPolicy(const std::vector<std::string>& deny, const std::vector<std::string>& allow,
               std::vector<SocketAddress> own);
  EgressPolicy() = default;  // allows all

  static bool is_rule(std::string_view text);

  // An error (destination_ip_prohibited, or proxy_loop_detected for an own address) names the
  // address and the rule that hit. `own` wins over `allow`.
  [[nodiscard]] Result<void> check(const SocketAddress& address) const;

 private:
  struct Rule {
    std::string name;
    std::vector<Cidr> blocks;
  };
  static Rule make_rule(const std::string& text);
  static const Rule* first_hit(const std::vector<Rule>& rules, const SocketAddress& address);

  std::vector<Rule> deny_;
  std::vector<Rule> allow_;
  std::vector<SocketAddress> own_;
};

}  // namespace penstock
