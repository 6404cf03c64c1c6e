// The files of server/dashboard/, as they stand there: server/embed.cmake puts them into the
// binary.
#pragma once

#include <string_view>

namespace penstock::asset {

extern const std::string_view kPage;        // with places for fill_in()
extern const std::string_view kConfigPart;  // where there is a /config
extern const std::string_view kStyle;
extern const std::string_view kScript;
extern const std::string_view kIcon;

}  // namespace penstock::asset
