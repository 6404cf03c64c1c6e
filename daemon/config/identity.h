// What makes two connections of an upstream not the same.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/settings.h"

namespace penstock {

// A hash of the content that decides where and how an upstream is dialled: scheme, origin,
// connect_to, source_address, the tls values and the bytes of their files (not the files' names).
// Equal before and after a reload: its idle connections stay. The same in every process that finds
// the same `system_cas`, which count where they decide whom to trust.
std::uint64_t identity_hash(const UpstreamSettings& upstream, std::string_view system_cas = {});

}  // namespace penstock
