// The request target in its four forms, RFC 9112 section 3.2.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/authority.h"
#include "http/head.h"

namespace penstock {

enum class TargetForm : std::uint8_t { kOrigin, kAbsolute, kAuthority, kAsterisk };

struct Target {
  TargetForm form = TargetForm::kOrigin;
  bool https = false;   // absolute-form: the URL's scheme
  Authority authority;  // absolute and authority-form
  // Byte for byte as received, without a fragment. Empty path: "" or "?query"; `needs_slash` then
  // says that a "/" goes before it.
  std::string_view path_and_query;
  bool needs_slash = false;
};

// Fills `out` (whose capacity is kept); the reason, a literal, when the target is malformed for
// this method or its scheme is neither http nor https.
std::optional<std::string_view> parse_target(const RequestHead& head, Target& out);

}  // namespace penstock
