#include "config/host_matcher.h"

#include <algorithm>

#include "http/authority.h"

namespace penstock {

HostMatcher::HostMatcher(const std::vector<UpstreamSettings>& upstreams) {
  for (std::uint32_t i = 0; i < upstreams.size(); ++i) {
    const auto& hosts = upstreams[i].hosts;
    for (std::uint32_t k = 0; k < hosts.size(); ++k) add(hosts[k], {i, k});
  }
}

void HostMatcher::add(std::string_view pattern, HostMatch match) {
  if (pattern == "*") {
    any_ = match;
  } else if (pattern.starts_with("*.")) {
    suffixes_.emplace(pattern.substr(2), match);
    longest_suffix_ = std::max(longest_suffix_, pattern.size() - 2);
  } else if (Authority host; !parse_authority(pattern, host)) {
    Exact& exact = exact_[host.host];
    if (host.port) {
      exact.ports.emplace_back(*host.port, match);
    } else {
      exact.any_port = match;
    }
  }
}

std::optional<HostMatch> HostMatcher::match(std::string_view host, std::uint16_t port) const {
  const auto named = match_named(host, port);
  return named ? named : any_;
}

std::optional<HostMatch> HostMatcher::match_named(std::string_view host, std::uint16_t port) const {
  const auto exact = match_exact(host, port);
  return exact ? exact : match_suffix(host);
}

std::optional<HostMatch> HostMatcher::match_exact(std::string_view host, std::uint16_t port) const {
  const auto found = exact_.find(host);
  if (found == exact_.end()) return std::nullopt;
  for (const auto& [own_port, match] : found->second.ports) {
    if (own_port == port) return match;
  }
  return found->second.any_port;
}

std::optional<HostMatch> HostMatcher::match_suffix(std::string_view host) const {
  if (suffixes_.empty()) return std::nullopt;
  for (std::size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.')) {
    host.remove_prefix(dot + 1);
    if (host.size() > longest_suffix_) continue;
    const auto found = suffixes_.find(host);
    if (found != suffixes_.end()) return found->second;
  }
  return std::nullopt;
}

}  // namespace penstock
