// The parts of the dashboard as markup, made of plain values.
#pragma once

#include <string>
#include <vector>

#include "server/html_writer.h"
#include "server/traffic_history.h"
#include "telemetry/failure_ring.h"
#include "telemetry/metrics.h"

namespace penstock {

struct DaemonFacts;

// A cell says what it is, for narrow screens, where a row is shown as a card.
void open_cell(HtmlWriter& html, std::string_view label, std::string_view css_class = {});

// What an operator has to know before anything else; empty when there is nothing.
std::string alerts_part(const DaemonFacts& facts);

// A row for each upstream that is configured or was asked for.
std::string upstreams_part(const PoolGauges& pools, const MetricsRegistry::Upstreams& totals,
                           const TrafficHistory& history, const TrafficSample& now);

// The mean request's time by phase, a column for each step.
std::string phases_part(const std::vector<TrafficStep>& steps);

// A row for each failure, in the order given.
std::string failures_part(const Failures& failures);

}  // namespace penstock
