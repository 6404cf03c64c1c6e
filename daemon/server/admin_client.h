// One question to the admin server of a running daemon, for the commands beside it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock {

struct AdminAnswer {
  int status = 0;
  std::string body;
};

// Asks host:port or unix:/path and waits, for `limit` at most. A POST carries the field that the
// console needs. The error says in words why there is no answer.
Result<AdminAnswer, std::string> ask_admin(const std::string& address, std::string_view method,
                                           const std::string& target, std::chrono::seconds limit);

}  // namespace penstock
