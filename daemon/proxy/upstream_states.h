// What one worker keeps of each upstream while configurations come and go, found without a name: a
// request's upstream has a place in its table, and its state the same place in the table's list.
//
// Owner: the Proxy, which outlives the exchanges that hold a list. Thread: the worker's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/retry_budget.h"
#include "proxy/routing_table.h"
#include "telemetry/metrics.h"

namespace penstock {

struct UpstreamState {
  UpstreamMetrics& metrics;
  RetryBudget retry_budget;
};
// In the order of RoutingTable::upstreams().
using UpstreamStateList = std::shared_ptr<const std::vector<UpstreamState*>>;

class UpstreamStates {
 public:
  UpstreamStates(WorkerMetrics& metrics, RetryAllowances& retries)
      : metrics_(metrics), retries_(retries) {}

  // An upstream that was known under its name before has the state that it had.
  UpstreamStateList of(const RoutingTable& table) {
    auto list = std::make_shared<std::vector<UpstreamState*>>();
    for (const Upstream& upstream : table.upstreams()) {
      const std::string& name = upstream.settings->name;
      const auto known = by_name_.find(name);
      list->push_back(known != by_name_.end() ? &known->second : &add(name));
    }
    return list;
  }

 private:
  UpstreamState& add(const std::string& name) {
    UpstreamState state{metrics_.upstream(name), RetryBudget(retries_.of(name))};
    return by_name_.try_emplace(name, std::move(state)).first->second;
  }

  WorkerMetrics& metrics_;
  RetryAllowances& retries_;
  std::map<std::string, UpstreamState, std::less<>> by_name_;
};

}  // namespace penstock
