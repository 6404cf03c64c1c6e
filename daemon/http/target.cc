#include "http/target.h"

#include <algorithm>

namespace penstock {

namespace {

using Fault = std::optional<std::string_view>;

constexpr std::string_view kSlashes = "://";

// The scheme's length when it is one of ours, 0 otherwise.
std::size_t scheme_length(std::string_view target) {
  const std::size_t length = std::min(target.find(kSlashes), target.size());
  const std::string_view scheme = target.substr(0, length);
  if (length == target.size()) return 0;
  const bool ours = equals_ignoring_case(scheme, "http") || equals_ignoring_case(scheme, "https");
  return ours ? length : 0;
}

// RFC 9112 section 3.2.3: the port is not optional here.
Fault parse_authority_form(std::string_view target, Target& out) {
  out.form = TargetForm::kAuthority;
  if (Fault fault = parse_authority(target, out.authority)) return fault;
  if (!out.authority.port) return "the target of CONNECT has no port";
  return std::nullopt;
}

Fault parse_asterisk_form(Method method, std::string_view target, Target& out) {
  if (target != "*") return "the target begins with an asterisk and goes on";
  if (method != Method::kOptions) return "the target * is for OPTIONS only";
  out.form = TargetForm::kAsterisk;
  out.path_and_query = target;
  return std::nullopt;
}

Fault parse_absolute_form(Method method, std::string_view target, Target& out) {
  const std::size_t scheme = scheme_length(target);
  if (scheme == 0) {
    return target.find(kSlashes) == std::string_view::npos
               ? "the target is neither a path nor a URL"
               : "the scheme of the target is neither http nor https";
  }
  out.form = TargetForm::kAbsolute;
  out.https = scheme == 5;
  target.remove_prefix(scheme + kSlashes.size());
  const auto end =
      std::find_if(target.begin(), target.end(), [](char c) { return c == '/' || c == '?'; });
  const std::size_t authority_bytes = static_cast<std::size_t>(end - target.begin());
  if (Fault fault = parse_authority(target.substr(0, authority_bytes), out.authority)) return fault;
  out.path_and_query = target.substr(authority_bytes);
  out.needs_slash = !out.path_and_query.starts_with('/');
  // RFC 9112 section 3.2.4: OPTIONS for no path at all asks about the server as a whole.
  if (method == Method::kOptions && out.path_and_query.empty()) {
    out.path_and_query = "*";
    out.needs_slash = false;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> parse_target(const RequestHead& head, Target& out) {
  out.https = false;
  out.needs_slash = false;
  out.path_and_query = {};
  if (head.method == Method::kConnect) return parse_authority_form(head.target, out);
  const std::string_view target = head.target.substr(0, head.target.find('#'));
  if (target.empty()) return "the target is empty";
  if (target.front() == '*') return parse_asterisk_form(head.method, target, out);
  if (target.front() != '/') return parse_absolute_form(head.method, target, out);
  out.form = TargetForm::kOrigin;
  out.path_and_query = target;
  return std::nullopt;
}

}  // namespace penstock
