// The body of /dns.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "net/dns_cache.h"

namespace penstock {

std::string dns_json(const std::vector<DnsCache::Row>& names, WallTime now);

}  // namespace penstock
