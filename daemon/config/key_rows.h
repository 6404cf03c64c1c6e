// The rows themselves, in two halves that key_table.cc joins.
#pragma once

#include <span>

#include "config/key_table.h"

namespace penstock {

std::span<const KeyRow>
process_key_rows();  // listeners, admin, client, dns, egress, logs, shutdown
std::span<const KeyRow> upstream_key_rows();  // an upstream's own keys, then the policy's

}  // namespace penstock
