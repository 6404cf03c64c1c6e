// What a server says of how long it keeps the connection: the parameters of Keep-Alive (RFC 2068
// section 19.7.1.1, which later RFCs left to custom).
#pragma once

#include <cstdint>
#include <optional>

#include "http/field_list.h"

namespace penstock {

struct KeepAlive {
  std::optional<std::uint32_t> timeout_seconds;  // idle time after which it closes
  std::optional<std::uint32_t> max_requests;     // how many more it will serve
  bool operator==(const KeepAlive&) const = default;
};

// The smallest value of each parameter over all Keep-Alive fields; one that is not plain digits is
// passed over. Allocates nothing.
KeepAlive read_keep_alive(const FieldList& fields);

}  // namespace penstock
