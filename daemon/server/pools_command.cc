#include "server/pools_command.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <utility>

#include "server/admin_client.h"
#include "server/admin_target.h"
#include "server/exit_code.h"
#include "server/pools_view.h"
#include "server/terminal.h"

namespace penstock {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kShowLimit{5};
constexpr seconds kActionLimit{15};  // longer than the server waits for its workers
constexpr seconds kRefresh{1};

// The body of an answer that is 200.
Result<std::string, std::string> ask(const std::string& address, std::string_view method,
                                     const std::string& target, seconds limit) {
  auto answer = ask_admin(address, method, target, limit);
  if (!answer) return Unexpected{std::move(answer).error()};
  if (answer->status == 200) return std::move(answer->body);
  while (answer->body.ends_with('\n')) answer->body.pop_back();
  return Unexpected{std::to_string(answer->status) + ": " + answer->body};
}

Result<PoolsView, std::string> look(const std::string& address) {
  auto body = ask(address, "GET", "/pools", kShowLimit);
  if (!body) return Unexpected{std::move(body).error()};
  return parse_pools(*body);
}

// The table anew each second, while the terminal is there.
class Top {
 public:
  Top(std::string address, PoolsView first)
      : address_(std::move(address)), now_{std::move(first)} {}

  void run() {
    Clock::time_point next = now_.at + kRefresh;
    for (;;) {
      draw();
      const auto left = std::chrono::ceil<milliseconds>(next - Clock::now());
      const Terminal::Event event = terminal_.wait(std::max(left, milliseconds(0)));
      if (event == Terminal::Event::kLeave) return;
      if (event == Terminal::Event::kDrawAgain) continue;
      refresh();
      next = Clock::now() + kRefresh;
    }
  }

 private:
  struct Look {
    PoolsView pools;
    Clock::time_point at = Clock::now();
  };

  void draw() {
    const Terminal::Size size = Terminal::size();
    if (!fault_.empty()) {
      terminal_.draw({fault_.substr(0, size.width)});
      return;
    }
    const PoolsView* before = before_ ? &before_->pools : nullptr;
    const std::chrono::duration<double> between =
        before_ ? now_.at - before_->at : Clock::duration();
    terminal_.draw(top_lines(now_.pools, before, between.count(), size.width, size.height));
  }

  // A daemon that restarts comes back in a moment.
  void refresh() {
    auto pools = look(address_);
    fault_ = pools ? "" : pools.error();
    if (pools) before_ = std::exchange(now_, Look{*std::move(pools)});
  }

  const std::string address_;
  Look now_;
  std::optional<Look> before_;
  std::string fault_;
  Terminal terminal_;
};

int fail(std::string_view command, const std::string& why) {
  std::cerr << "penstock " << command << ": " << why << '\n';
  return kExitFailure;
}

int take_action(const std::string& address, const PoolsCommand& command) {
  const std::string target = "/pools/" + percent_encoded(command.target) + '/' + command.action;
  const auto report = ask(address, "POST", target, kActionLimit);
  if (!report) return fail("pools", report.error());
  std::cout << *report;
  return kExitOk;
}

}  // namespace

int run_pools(const std::string& address, const PoolsCommand& command) {
  if (!command.action.empty()) return take_action(address, command);
  const std::string query =
      command.upstream.empty() ? "" : "?upstream=" + percent_encoded(command.upstream);
  const auto body = ask(address, "GET", "/pools" + query, kShowLimit);
  if (!body) return fail("pools", body.error());
  if (command.json) {
    std::cout << *body;
    return kExitOk;
  }
  const auto pools = parse_pools(*body);
  if (!pools) return fail("pools", pools.error());
  std::cout << pools_table(*pools);
  return kExitOk;
}

int run_top(const std::string& address) {
  if (!Terminal::there_is_one()) {
    std::cerr << "penstock top: needs a terminal; `penstock pools` prints the table once\n";
    return kExitUsage;
  }
  auto first = look(address);  // what is wrong from the start is said where it stays
  if (!first) return fail("top", first.error());
  Top(address, *std::move(first)).run();
  return kExitOk;
}

}  // namespace penstock
