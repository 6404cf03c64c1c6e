// Which upstream serves a host: the exact host:port, else the exact host, else the longest
// "*.suffix", else "*".
//
// A value, immutable after construction; shared by all workers. A look-up costs one hash look-up
// and one more for each dot of the host, and allocates nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/settings.h"

namespace penstock {

struct HostMatch {
  std::uint32_t upstream = 0;  // index in Config::upstreams
  std::uint32_t pattern = 0;   // index in its hosts
  bool operator==(const HostMatch&) const = default;
};

class HostMatcher {
 public:
  // The patterns are the loader's: valid, in normal form, none twice.
  explicit HostMatcher(const std::vector<UpstreamSettings>& upstreams);

  // `host` as Authority::host holds it: lower case, IPv6 without brackets. `port` as the request
  // means it: the URL scheme's where it names none.
  std::optional<HostMatch> match(std::string_view host, std::uint16_t port) const;
  // Without "*": what an origin-form request may be matched with.
  std::optional<HostMatch> match_named(std::string_view host, std::uint16_t port) const;

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  template <typename T>
  using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

  struct Exact {
    std::optional<HostMatch> any_port;
    std::vector<std::pair<std::uint16_t, HostMatch>> ports;
  };

  void add(std::string_view pattern, HostMatch match);
  std::optional<HostMatch> match_exact(std::string_view host, std::uint16_t port) const;
  std::optional<HostMatch> match_suffix(std::string_view host) const;

  TextMap<Exact> exact_;
  TextMap<HostMatch> suffixes_;  // "example.com" for "*.example.com"
  std::size_t longest_suffix_ = 0;
  std::optional<HostMatch> any_;
};

}  // namespace penstock
