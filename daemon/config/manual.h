// penstock.yaml(5), the manual page of the configuration, made from the table of keys.
#pragma once

#include <string>

namespace penstock {

// In mdoc(7). Each key with what it does, its default, what is allowed and when a change takes
// effect; by places, as the sample has them.
std::string manual_page();

}  // namespace penstock
