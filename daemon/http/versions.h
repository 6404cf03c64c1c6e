// The version of the parser under http/.
#pragma once

#include <string>

namespace penstock {

std::string llhttp_version();

}  // namespace penstock
