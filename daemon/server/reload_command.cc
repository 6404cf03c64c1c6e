#include "server/reload_command.h"

#include <chrono>
#include <iostream>

#include "server/admin_client.h"
#include "server/exit_code.h"

namespace penstock {

namespace {

constexpr std::chrono::seconds kLimit{15};  // longer than the server waits for its workers
constexpr int kApplied = 200;
constexpr int kRefused = 422;

int fail(const std::string& why) {
  std::cerr << "penstock reload: " << why << (why.ends_with('\n') ? "" : "\n");
  return kExitFailure;
}

}  // namespace

int run_reload(const std::string& address) {
  const auto answer = ask_admin(address, "POST", "/reload", kLimit);
  if (!answer) return fail(answer.error());
  if (answer->status != kApplied && answer->status != kRefused)
    return fail(std::to_string(answer->status) + ": " + answer->body);
  const auto report = parse_reload(answer->body);
  if (!report) return fail(report.error());
  const bool applied = answer->status == kApplied;
  std::ostream& out = applied ? std::cout : std::cerr;
  for (const std::string& line : report->lines) out << line << '\n';
  out << (applied ? "" : "refused: ") << "revision " << report->revision
      << (applied ? " is in force\n" : " stays in force\n");
  return applied ? kExitOk : kExitConfig;
}

}  // namespace penstock
