#include "net/hosts_file.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace penstock {

namespace {

constexpr std::string_view kBlank = " \t\r\f\v";

// The next word of the line, which loses it; empty at the end.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

// Lower case, without the dot that may end it.
std::string normalized(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

bool is_localhost(std::string_view name) {
  return name == "localhost" || name.ends_with(".localhost");
}

}  // namespace

HostsFile HostsFile::parse(std::string_view text) {
  HostsFile hosts;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    hosts.add_line(line.substr(0, line.find('#')));
  }
  return hosts;
}

void HostsFile::add_line(std::string_view line) {
  const std::optional<SocketAddress> address = SocketAddress::from_ip(take_word(line), 0);
  if (!address) return;
  for (auto name = take_word(line); !name.empty(); name = take_word(line)) {
    std::string key = normalized(name);
    if (key.empty() || key.ends_with('.')) continue;
    AddressList& addresses = by_name_[std::move(key)];
    if (std::ranges::find(addresses, *address) == addresses.end()) addresses.push_back(*address);
  }
}

AddressList HostsFile::find(std::string_view name) const {
  const std::string key = normalized(name);
  if (const auto found = by_name_.find(key); found != by_name_.end()) return found->second;
  if (!is_localhost(key)) return {};
  return {*SocketAddress::from_ip("::1", 0), *SocketAddress::from_ip("127.0.0.1", 0)};
}

std::vector<std::string> HostsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, addresses] : by_name_) names.push_back(name);
  return names;
}

}  // namespace penstock
