#include "server/environment.h"

#include <array>
#include <utility>

#include "http/authority.h"
#include "net/address.h"

namespace penstock {
namespace {

constexpr std::array<std::pair<std::string_view, EnvFormat>, 6> kFormatNames = {{
    {"sh", EnvFormat::kSh},
    {"fish", EnvFormat::kFish},
    {"systemd", EnvFormat::kSystemd},
    {"compose", EnvFormat::kCompose},
    {"kubernetes", EnvFormat::kKubernetes},
    {"java", EnvFormat::kJava},
}};

// What stays away from the proxy. In a cluster so do its own services, which speak plaintext.
constexpr std::string_view kNoProxy = "localhost,127.0.0.1,::1";
constexpr std::string_view kNoProxyInCluster = "localhost,127.0.0.1,::1,.svc,.cluster.local";
constexpr std::string_view kJavaNoProxy = "localhost|127.*|[::1]";

// An app on this machine reaches a wildcard address by loopback. nullopt: a unix or systemd socket,
// which no URL can name.
std::optional<std::string> reachable(std::string_view listener) {
  Authority authority;
  if (parse_authority(listener, authority)) return std::nullopt;
  if (authority.host == "0.0.0.0") authority.host = "127.0.0.1";
  if (authority.host == "::") authority.host = "::1";
  return authority.to_string(0);
}

std::string addresses_of(const Config& config) {
  std::string text;
  for (const ListenerSettings& listener : config.listeners) {
    text += (text.empty() ? "" : ", ") + listener.address;
  }
  return text;
}

// Both spellings, since each is ignored by somebody: `before NAME middle VALUE after` per line.
std::string each_variable(std::string_view authority, std::string_view no_proxy,
                          std::string_view before, std::string_view middle,
                          std::string_view after) {
  const std::string url = "http://" + std::string(authority);
  const std::array<std::pair<std::string_view, std::string_view>, 4> variables = {
      {{"http_proxy", url}, {"HTTP_PROXY", url}, {"no_proxy", no_proxy}, {"NO_PROXY", no_proxy}}};
  std::string text;
  for (const auto& [name, value] : variables) {
    text.append(before).append(name).append(middle).append(value).append(after).append("\n");
  }
  return text;
}

std::string java_options(std::string_view text) {
  Authority authority;
  parse_authority(text, authority);
  return "-Dhttp.proxyHost=" + authority.host +
         " -Dhttp.proxyPort=" + std::to_string(authority.port.value_or(0)) +
         " -Dhttp.nonProxyHosts=" + std::string(kJavaNoProxy) + "\n";
}

}  // namespace

std::optional<EnvFormat> env_format(std::string_view name) {
  for (const auto& [known, format] : kFormatNames) {
    if (known == name) return format;
  }
  return std::nullopt;
}

Result<std::string, std::string> proxy_authority(const Config& config, std::string_view address) {
  for (const ListenerSettings& listener : config.listeners) {
    const bool wanted = address.empty() ? listener.upstream.empty() : listener.address == address;
    if (!wanted) continue;
    if (auto authority = reachable(listener.address)) return *std::move(authority);
    if (!address.empty()) {
      return Unexpected{listener.address +
                        " is no host and port, which is all that http_proxy can name"};
    }
  }
  if (!address.empty()) {
    return Unexpected{"no listener has the address " + std::string(address) +
                      " (there are: " + addresses_of(config) + ")"};
  }
  return Unexpected{
      "no listener has a host and port and is without `upstream`; --listener ADDRESS names one "
      "of: " +
      addresses_of(config)};
}

std::string environment_text(EnvFormat format, std::string_view authority) {
  switch (format) {
    case EnvFormat::kSh:
      return each_variable(authority, kNoProxy, "export ", "=", "");
    case EnvFormat::kFish:
      return each_variable(authority, kNoProxy, "set -gx ", " ", "");
    case EnvFormat::kSystemd:
      return "[Service]\n" + each_variable(authority, kNoProxy, "Environment=\"", "=", "\"");
    case EnvFormat::kCompose:
      return "environment:\n" + each_variable(authority, kNoProxy, "  ", ": \"", "\"");
    case EnvFormat::kKubernetes:
      return "env:\n" +
             each_variable(authority, kNoProxyInCluster, "  - name: ", "\n    value: \"", "\"");
    case EnvFormat::kJava:
      return java_options(authority);
  }
  return {};
}

}  // namespace penstock
