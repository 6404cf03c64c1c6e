#include "net/address_rules.h"

#include <algorithm>

namespace penstock {

namespace {

struct NamedBlocks {
  std::string_view name;
  std::vector<std::string_view> blocks;
};

const std::vector<NamedBlocks>& named_blocks() {
  static const std::vector<NamedBlocks> kNamed = {
      {"link_local", {"169.254.0.0/16", "fe80::/10"}},
      // Where clouds hand out credentials: all of them, whoever runs us where.
      {"metadata",
       {"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
        "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "100.100.100.200", "168.63.129.16",
        "192.0.0.192"}},
      {"loopback", {"127.0.0.0/8", "::1"}},
      {"private", {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"}},
      {"unspecified", {"0.0.0.0/8", "::"}},
      {"any", {"0.0.0.0/0", "::/0"}},
  };
  return kNamed;
}

}  // namespace

std::optional<std::vector<Cidr>> find_blocks(std::string_view rule) {
  for (const NamedBlocks& named : named_blocks()) {
    if (named.name != rule) continue;
    std::vector<Cidr> blocks;
    for (const std::string_view text : named.blocks) blocks.push_back(*Cidr::parse(text));
    return blocks;
  }
  const auto block = Cidr::parse(rule);
  if (!block) return std::nullopt;
  return std::vector<Cidr>{*block};
}

bool matches_any(const std::vector<Cidr>& blocks, const SocketAddress& address) {
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const Cidr& block) { return block.contains(address); });
}

}  // namespace penstock
