// The dashboard's alerts and its table of upstreams.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/dashboard.h"
#include "server/dashboard_parts.h"
#include "server/display.h"

namespace penstock {

namespace {

constexpr std::string_view kNothing = "–";

struct UpstreamRow {
  const PoolGauge& pool;
  const UpstreamMetrics& metrics;
  TrafficHistory::Recent recent;
};

// 0: there is none.
std::uint64_t whole_limit(const PoolGauge& pool) {
  return std::isinf(pool.limit) ? 0 : static_cast<std::uint64_t>(pool.limit);
}

// Draws `count` from `from` on; where that ends. What is there can be seen, be it one of a
// thousand.
std::uint64_t bar_piece(HtmlWriter& html, std::string_view css_class, std::uint64_t from,
                        std::uint64_t count, std::uint64_t width) {
  if (count == 0) return from;
  const std::uint64_t drawn = std::max(count, width / 100);
  html.markup("<rect class=\"").markup(css_class).markup("\" x=\"").number(from);
  html.markup("\" width=\"").number(drawn).markup("\" height=\"1\"/>");
  return from + drawn;
}

// As wide as the limit; where there is none, as what is there.
void pool_bar(HtmlWriter& html, const PoolGauge& pool) {
  const std::uint64_t other = pool.dialing + pool.draining + pool.upgraded;
  const std::uint64_t open = pool.busy + other + pool.idle;
  const std::uint64_t width = std::max({whole_limit(pool), open, std::uint64_t{1}});
  html.markup(R"(<svg class="bar" aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 )");
  html.number(width).markup(" 1\">");
  std::uint64_t end = bar_piece(html, "busy", 0, pool.busy, width);
  end = bar_piece(html, "other", end, other, width);
  bar_piece(html, "idle", end, pool.idle, width);
  html.markup("</svg>");
}

void count(HtmlWriter& html, std::uint64_t value, std::string_view what) {
  html.markup(", <b>").number(value).markup("</b> ").markup(what);
}

void pool_cell(HtmlWriter& html, const PoolGauge& pool) {
  open_cell(html, "Connections", "pool");
  pool_bar(html, pool);
  html.markup("<span><b>").number(pool.busy).markup("</b> busy");
  count(html, pool.idle, "idle");
  if (pool.dialing > 0) count(html, pool.dialing, "dialing");
  if (pool.draining > 0) count(html, pool.draining, "draining");
  if (pool.upgraded > 0) count(html, pool.upgraded, "tunnels");
  if (whole_limit(pool) == 0) {
    html.markup(", no limit");
  } else {
    html.markup(" of ").number(whole_limit(pool));
  }
  html.markup("</span></td>");
}

void waiting_cell(HtmlWriter& html, const PoolGauge& pool) {
  open_cell(html, "Waiting", pool.waiting > 0 ? "number warn" : "number");
  html.number(pool.waiting);
  if (pool.waiting > 0)
    html.markup(" <small>").markup(duration_text(pool.oldest_wait)).markup("</small>");
  html.markup("</td>");
}

// As `penstock pools` says it: of the requests, those that needed no new connection.
std::string reuse_text(const UpstreamMetrics& metrics) {
  std::uint64_t acquires = 0;
  for (int i = 0; i < kAcquireResultCount; ++i) {
    acquires += metrics.acquires[static_cast<AcquireResult>(i)].value();
  }
  const std::uint64_t opened = metrics.connections_opened.value();
  if (acquires == 0 || opened == 0) return std::string(kNothing);
  const std::uint64_t reused = acquires - std::min(opened, acquires);
  return decimal_text(100.0 * static_cast<double>(reused) / static_cast<double>(acquires), 1) + "%";
}

std::string quantile_text(const TrafficHistory::Recent& recent, double share) {
  const auto found = quantile(recent.traffic.durations, share);
  if (!found) return std::string(kNothing);
  return (found->beyond ? "over " : "") + duration_text(found->value);
}

struct TokenCount {
  ErrorCode code;
  std::uint64_t count;
};

std::vector<TokenCount> error_counts(const UpstreamMetrics& metrics) {
  std::vector<TokenCount> counts;
  for (int i = 0; i < kErrorCodeCount; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    const auto& phases = metrics.errors[code];
    const std::uint64_t sum = std::accumulate(
        phases.begin(), phases.end(), std::uint64_t{0},
        [](std::uint64_t total, const Counter& counter) { return total + counter.value(); });
    if (sum > 0) counts.push_back({code, sum});
  }
  std::ranges::stable_sort(counts, std::ranges::greater(), &TokenCount::count);
  return counts;
}

void errors_cell(HtmlWriter& html, const UpstreamMetrics& metrics) {
  open_cell(html, "Errors", "errors");
  const std::vector<TokenCount> counts = error_counts(metrics);
  if (counts.empty()) html.markup(kNothing);
  for (const TokenCount& each : counts) {
    html.markup("<span class=\"token\"><b>").number(each.count).markup("</b> ");
    html.markup(token(each.code)).markup("</span> ");
  }
  html.markup("</td>");
}

void number_cell(HtmlWriter& html, std::string_view label, std::string_view value) {
  open_cell(html, label, "number");
  html.markup(value).markup("</td>");
}

void name_cell(HtmlWriter& html, const PoolGauge& pool) {
  html.markup("<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">");
  if (pool.upstream.empty()) {
    html.markup("<i>not routed</i>");
  } else {
    html.text(pool.upstream);
  }
  if (pool.paused) html.markup(" <span class=\"tag\">paused</span>");
  if (pool.hosts > 1) html.markup(" <small>").number(pool.hosts).markup(" hosts</small>");
  html.markup("</th>");
}

void write_row(HtmlWriter& html, const UpstreamRow& row) {
  name_cell(html, row.pool);
  if (row.pool.upstream.empty()) {
    number_cell(html, "Connections", kNothing);
    number_cell(html, "Waiting", kNothing);
  } else {
    pool_cell(html, row.pool);
    waiting_cell(html, row.pool);
  }
  number_cell(html, "Rate", rate_text(row.recent.traffic.requests, row.recent.span));
  number_cell(html, "p50", quantile_text(row.recent, 0.5));
  number_cell(html, "p99", quantile_text(row.recent, 0.99));
  number_cell(html, "Requests", std::to_string(request_count(row.metrics)));
  number_cell(html, "Reuse", reuse_text(row.metrics));
  errors_cell(html, row.metrics);
  html.markup("</tr>\n");
}

std::string paused_names(const PoolGauges& pools) {
  std::string names;
  for (const PoolGauge& pool : pools) {
    if (pool.paused) names += (names.empty() ? "" : ", ") + pool.upstream;
  }
  return names;
}

}  // namespace

void open_cell(HtmlWriter& html, std::string_view label, std::string_view css_class) {
  html.markup("<td role=\"cell\" data-label=\"").markup(label).markup("\"");
  if (!css_class.empty()) html.markup(" class=\"").markup(css_class).markup("\"");
  html.markup(">");
}

std::string alerts_part(const DaemonFacts& facts) {
  HtmlWriter html;
  if (facts.state != "serving")
    html.markup("<li>The daemon is ").markup(facts.state).markup(".</li>");
  if (!facts.reload_error.empty())
    html.markup("<li>The last reload failed, revision ")
        .number(facts.revision)
        .markup(" stays in force: ")
        .text(facts.reload_error)
        .markup("</li>");
  if (const std::string names = paused_names(facts.pools); !names.empty())
    html.markup("<li>Paused by an operator: ").text(names).markup("</li>");
  const std::string alerts = html.take();
  return alerts.empty() ? alerts : "<ul class=\"alerts\">" + alerts + "</ul>";
}

std::string upstreams_part(const PoolGauges& pools, const MetricsRegistry::Upstreams& totals,
                           const TrafficHistory& history, const TrafficSample& now) {
  static const UpstreamMetrics kNoMetrics;
  HtmlWriter html;
  PoolGauges rows = pools;
  if (totals.contains("")) rows.push_back({});  // requests that were refused before they had one
  for (const PoolGauge& pool : rows) {
    const auto found = totals.find(pool.upstream);
    const UpstreamMetrics& metrics = found == totals.end() ? kNoMetrics : found->second;
    write_row(html, {pool, metrics, history.recent(pool.upstream, now)});
  }
  return html.take();
}

}  // namespace penstock
