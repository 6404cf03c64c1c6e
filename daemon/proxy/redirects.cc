#include "proxy/redirects.h"

#include <algorithm>

namespace penstock {

namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::uint16_t kHttpPort = 80;

// What follows the authority of an https:// URL of the host that was asked; null for others.
const char* path_at_same_host(std::string_view location, const Route& route) {
  if (!equals_ignoring_case(location.substr(0, kHttps.size()), kHttps)) return nullptr;
  const std::string_view rest = location.substr(kHttps.size());
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  Authority authority;
  if (parse_authority(rest.substr(0, end), authority)) return nullptr;
  const bool same_host =
      authority.host == route.choice.host || authority.host == route.authority.host;
  if (!same_host || authority.port.value_or(kHttpsPort) != kHttpsPort) return nullptr;
  return rest.data() + end;
}

bool is_url_just_asked(std::string_view path, const Route& route) {
  const std::string_view target = path.substr(0, path.find('#'));
  if (!route.add_slash) return target == route.path;
  return target.starts_with('/') && target.substr(1) == route.path;
}

// Read alone, without the scheme and host before it. URLs of browsers take \ for / and have no TAB.
bool names_a_host(std::string_view path) {
  std::string read(path.substr(0, path.find_first_of("?#")));
  std::erase(read, '\t');
  return read.starts_with("//") || read.starts_with("/\\");
}

}  // namespace

bool app_side_is_plain(const Route& route) {
  return route.choice.tls && route.choice.port == kHttpsPort && !route.target.https;
}

void rewrite_location(std::string_view location, const Route& route, std::string& rewritten) {
  rewritten.clear();
  const char* const at = path_at_same_host(location, route);
  if (at == nullptr) return;
  std::string path(at, location.data() + location.size());
  if (!path.starts_with('/')) path.insert(0, 1, '/');
  if (is_url_just_asked(path, route)) return;
  if (route.form == TargetForm::kAbsolute) {
    rewritten = "http://" + route.authority.to_string(kHttpPort) + path;
  } else if (!names_a_host(path)) {
    rewritten = std::move(path);
  }
}

}  // namespace penstock
