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
#include "net/client_scope.h"

namespace penstock {

class EgressPolicy {
 public:
  // `deny` and `allow` hold names (link_local, metadata, loopback, private, unspecified, any) or
  // CIDRs, valid already (is_rule()). `own` are the addresses we listen on, admin's too, matched
  // with the port; an unspecified one (0.0.0.0) stands for every address that this machine has when
  // it is dialled (the kernel is asked, only where the port is the same). IPv4 addresses inside
  // IPv6 ones (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) are judged as well as
  // the whole.
  EgressPolicy(const std::vector<std::string>& deny, const std::vector<std::string>& allow,
               std::vector<SocketAddress> own);
  EgressPolicy() = default;  // allows all

  static bool is_rule(std::string_view text);

  // For clients of the network this machine itself is denied too: loopback, the unspecified
  // address, and every address that an interface has at this moment. An error
  // (destination_ip_prohibited, or proxy_loop_detected for an own address) names the address and
  // the rule that hit; its `sys` is set where the kernel could not be asked (is_shortage()). `own`
  // wins over `allow`, and that over all else. A unix socket is refused where it is an own one,
  // whatever path leads to its file.
  [[nodiscard]] Result<void> check(const SocketAddress& address, ClientScope scope) const;

 private:
  struct Rule {
    std::string name;
    std::vector<Cidr> blocks;
  };
  static Rule make_rule(const std::string& text);
  Result<void> judge(const SocketAddress& reading, const SocketAddress& address,
                     ClientScope scope) const;
  Result<void> check_own(const SocketAddress& reading, const SocketAddress& address) const;
  static const Rule* first_hit(const std::vector<Rule>& rules, const SocketAddress& address);

  std::vector<Rule> deny_;
  std::vector<Rule> allow_;
  std::vector<SocketAddress> own_;
};

}  // namespace penstock
