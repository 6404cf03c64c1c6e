// What the modules want to know of the configuration, in their own words.
#pragma once

#include <cstdint>
#include <optional>

#include "config/settings.h"
#include "net/dns_service.h"
#include "pool/registry.h"
#include "proxy/routing_table.h"

namespace penstock {

PoolPolicies pool_policies(const RoutingTable& table);
DnsOptions dns_options(const DnsSettings& dns);
// In bytes. `memory`: what the cgroup has, if it has a limit.
std::uint64_t buffer_limit(const ProcessSettings& settings, std::optional<std::uint64_t> memory);

}  // namespace penstock
