// SHA-256 of a text.
#pragma once

#include <string>

namespace penstock {

std::string digest_of(const std::string& text);

}  // namespace penstock
