// The targets of admin requests: what comes after the page's name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock {

// RFC 3986 section 2.1; nothing where a "%" is not followed by two hex digits.
std::optional<std::string> percent_decoded(std::string_view text);

std::string percent_encoded(std::string_view text);

// The value of `key` in the query, decoded; empty when it is not there or malformed.
std::string query_value(std::string_view target, std::string_view key);

}  // namespace penstock
