// YAML's complaints, said so that somebody who does not know YAML's grammar can mend the line.
#pragma once

#include <string>
#include <string_view>

#include "config/fault.h"

namespace penstock {

// `message` is the YAML library's, `at` the place it gives, `text` the whole file.
std::string explain_syntax(std::string_view message, Position at, std::string_view text);

// What a configuration file may not contain whatever YAML thinks of it: bytes that are not UTF-8,
// control characters. Empty `what`: nothing of the kind.
Fault find_foreign_byte(std::string_view text);

}  // namespace penstock
