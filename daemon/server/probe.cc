#include "server/probe.h"

#include <chrono>

#include "server/admin_client.h"

namespace penstock {

namespace {

constexpr std::chrono::seconds kLimit{2};

}  // namespace

ProbeResult probe(const std::string& address, const std::string& path) {
  auto answer = ask_admin(address, "GET", path, kLimit);
  if (!answer) return {false, std::move(answer).error()};
  return {answer->status == 200, std::move(answer->body)};
}

}  // namespace penstock
