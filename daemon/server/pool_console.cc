#include "server/pool_console.h"

#include <array>
#include <memory>
#include <utility>

#include "server/json_writer.h"

namespace penstock {

namespace {

// Closing one takes some ten microseconds.
constexpr std::uint32_t kBatch = 1000;

constexpr std::array<std::pair<std::string_view, PoolAction>, 4> kNames{
    {{"close-idle", PoolAction::kCloseIdle},
     {"pause", PoolAction::kPause},
     {"resume", PoolAction::kResume},
     {"reconnect", PoolAction::kReconnect}}};

}  // namespace

std::optional<PoolAction> pool_action(std::string_view name) {
  for (const auto& [known, action] : kNames) {
    if (known == name) return action;
  }
  return std::nullopt;
}

std::string_view to_string(PoolAction action) {
  return kNames[static_cast<std::size_t>(action)].first;
}

// Of the control loop, but for what does not change.
struct PoolConsole::Report {
  PoolAction action;
  std::string upstream;
  Done done;
  std::size_t hosts = 0;
  std::uint32_t connections = 0;  // that there were, for kReconnect
  std::uint64_t below = 0;        // connections with smaller numbers close
  std::uint32_t closed = 0;
  std::size_t silent = 0;  // workers that have not answered
};

void PoolConsole::act(PoolAction action, const std::string& upstream, Done done) {
  auto report = std::make_shared<Report>(Report{
      .action = action, .upstream = upstream, .done = std::move(done), .silent = workers_.size()});
  switch (action) {
    case PoolAction::kCloseIdle:
      report->hosts = registry_.count_hosts(upstream);
      report->below = registry_.next_connection_id();
      break;
    case PoolAction::kPause:
    case PoolAction::kResume:
      report->hosts = registry_.set_paused(upstream, action == PoolAction::kPause);
      follow_pause(std::move(report));
      return;
    case PoolAction::kReconnect: {
      const PoolRegistry::Retirement retirement = registry_.retire(upstream);
      report->hosts = retirement.hosts;
      report->connections = retirement.connections;
      report->below = retirement.below;
      break;
    }
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) close_idle(report, i);
}

// Requests are served between two batches. What the worker finds out is read after its turn.
void PoolConsole::close_idle(const std::shared_ptr<Report>& report, std::size_t worker) {
  auto batch = std::make_shared<std::uint32_t>(0);
  workers_[worker]->with_pool(
      [report, batch](WorkerPool& pool) {
        *batch = pool.close_idle(report->upstream, report->below, kBatch);
      },
      [this, report, batch, worker] {
        report->closed += *batch;
        if (*batch == kBatch) {
          close_idle(report, worker);
        } else {
          finish(*report);
        }
      });
}

void PoolConsole::follow_pause(std::shared_ptr<Report> report) {
  for (const auto& worker : workers_) {
    worker->with_pool([report](WorkerPool& pool) { pool.follow_pause(report->upstream); },
                      [this, report] { finish(*report); });
  }
}

void PoolConsole::finish(Report& report) {
  if (--report.silent > 0) return;
  const bool reconnects = report.action == PoolAction::kReconnect;
  const std::uint32_t retired = reconnects ? report.connections - report.closed : 0;  // close later
  JsonWriter json;
  json.open('{');
  json.key("upstream");
  json.string(report.upstream);
  json.key("action");
  json.string(to_string(report.action));
  json.key("hosts");
  json.number(report.hosts);
  if (reconnects || report.action == PoolAction::kCloseIdle) {
    json.key("closed");
    json.number(report.closed);
  }
  if (reconnects) {
    json.key("retired");
    json.number(retired);
  }
  json.close('}');
  log_.info("pools: " + std::string(to_string(report.action)), {{"upstream", report.upstream},
                                                                {"hosts", report.hosts},
                                                                {"closed", report.closed},
                                                                {"retired", retired}});
  report.done(json.take() + "\n");
}

}  // namespace penstock
