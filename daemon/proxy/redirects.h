// What an app that speaks http:// to us can use of an upstream's answers that speak of https://: a
// Location that leads back to the same host, and cookies marked Secure.
#pragma once

#include <string>
#include <string_view>

#include "proxy/router.h"

namespace penstock {

// The app's side is http:// and ours TLS on the usual port: what the upstream takes for
// https://HOST is http://HOST to the app.
bool app_side_is_plain(const Route& route);

// The Location (RFC 9110 section 10.2.2) to send instead, in `rewritten`; empty when it passes as
// it came. An absolute-form request gets http://HOST..., an origin-form one a path alone; never the
// URL that was just asked for, which would send the app round in circles.
void rewrite_location(std::string_view location, const Route& route, std::string& rewritten);

}  // namespace penstock
