// "did you mean": the known word that a mistyped one was probably meant to be.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/key_table.h"

namespace penstock {

// The nearest of `known`, when it is near enough that it is likely to be meant.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known);

// The keys that may stand in this section ("" is the top of the scope): "address", "pool".
std::vector<std::string> keys_of_section(KeyScope scope, std::string_view section);

// What is wrong with a key that nothing knows: "unknown key; did you mean pool.max_idle?"
std::string describe_unknown_key(KeyScope scope, std::string_view section, std::string_view key);

}  // namespace penstock
