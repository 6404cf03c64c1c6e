// The hosts file as a value: names to addresses that need no query (hosts(5)).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/resolver.h"

namespace penstock {

class HostsFile {
 public:
  // Lines that make no sense are skipped, as the system's resolver does.
  static HostsFile parse(std::string_view text);

  // In the order of the file; empty when it does not know the name. localhost and what ends with
  // .localhost are always known (RFC 6761 section 6.3).
  AddressList find(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  void add_line(std::string_view line);

  std::map<std::string, AddressList, std::less<>> by_name_;
};

}  // namespace penstock
