// The dashboard's table of the last failures.
#include <chrono>

#include "server/dashboard_parts.h"
#include "server/display.h"
#include "server/json_writer.h"

namespace penstock {

namespace {

std::int64_t micros(Duration value) {
  return std::chrono::duration_cast<std::chrono::microseconds>(value).count();
}

template <typename Visit>
void for_each_phase(const ExchangeRecord& record, Visit visit) {
  for (int i = 0; i < kPhaseCount; ++i) {
    const auto phase = static_cast<Phase>(i);
    if (const auto spent = phase_time(record, phase)) visit(phase, *spent);
  }
}

void time_cell(HtmlWriter& html, const ExchangeRecord& record) {
  html.markup(R"(<tr role="row"><th scope="row" role="rowheader"><time datetime=")");
  html.markup(rfc3339(record.ts)).markup("\">").markup(date_text(record.ts));
  html.markup("</time></th>");
}

void request_cell(HtmlWriter& html, const ExchangeRecord& record) {
  open_cell(html, "Request", "request");
  html.text(record.method).markup(" ").text(record.host).text(record.path);
  if (!record.client.empty()) html.markup(" <small>from ").text(record.client).markup("</small>");
  html.markup("</td>");
}

void upstream_cell(HtmlWriter& html, const ExchangeRecord& record) {
  open_cell(html, "Upstream");
  html.text(record.upstream.empty() ? "–" : record.upstream);
  if (!record.address.empty()) html.markup(" <small>").text(record.address).markup("</small>");
  html.markup("</td>");
}

void result_cell(HtmlWriter& html, const ExchangeRecord& record) {
  open_cell(html, "Result", "result");
  html.markup("<b>").number(record.status).markup("</b> ");
  html.markup(record.error ? token(*record.error) : "from the upstream");
  if (record.error_phase) html.markup(" <small>").markup(to_string(*record.error_phase));
  if (record.error_phase && !record.error_limit.empty()) html.markup(", ").text(record.error_limit);
  if (record.error_phase) html.markup("</small>");
  html.markup("</td>");
}

// Each phase's share in the time of all; a failure before any has no bar.
void phase_bar(HtmlWriter& html, const ExchangeRecord& record) {
  std::int64_t whole = 0;
  for_each_phase(record, [&](Phase, Duration spent) { whole += micros(spent); });
  if (whole == 0) return;
  html.markup(R"(<svg class="bar" aria-hidden="true" preserveAspectRatio="none" viewBox="0 0 )");
  html.number(whole).markup(" 1\">");
  std::int64_t from = 0;
  for_each_phase(record, [&](Phase phase, Duration spent) {
    html.markup("<rect class=\"p").number(static_cast<int>(phase)).markup("\" x=\"").number(from);
    html.markup("\" width=\"").number(micros(spent)).markup("\" height=\"1\"/>");
    from += micros(spent);
  });
  html.markup("</svg>");
}

void phases_cell(HtmlWriter& html, const ExchangeRecord& record) {
  open_cell(html, "Phases", "phases");
  phase_bar(html, record);
  html.markup("<span>");
  std::string_view between;
  for_each_phase(record, [&](Phase phase, Duration spent) {
    html.markup(between).markup(to_string(phase)).markup(" ").markup(duration_text(spent));
    between = ", ";
  });
  if (const auto total = total_time(record)) {
    html.markup(between).markup("total <b>").markup(duration_text(*total)).markup("</b>");
  }
  html.markup("</span></td></tr>\n");
}

}  // namespace

std::string failures_part(const Failures& failures) {
  if (failures.empty())
    return "<tr role=\"row\"><td role=\"cell\" colspan=\"5\">No request has failed.</td></tr>";
  HtmlWriter html;
  for (const Failure& failure : failures) {
    const ExchangeRecord record = failure.record();
    time_cell(html, record);
    request_cell(html, record);
    upstream_cell(html, record);
    result_cell(html, record);
    phases_cell(html, record);
  }
  return html.take();
}

}  // namespace penstock
