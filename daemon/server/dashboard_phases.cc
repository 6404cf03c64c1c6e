// The dashboard's chart of the phases: columns of the mean request's time, the newest on the right,
// and the same as a table.
#include <algorithm>
#include <array>
#include <cmath>

#include "server/dashboard_parts.h"
#include "server/display.h"

namespace penstock {

namespace {

constexpr int kHeight = 100;
constexpr std::size_t kColumns = TrafficHistory::kSpan / TrafficHistory::kStep + 1;

Phase phase_at(std::size_t index) { return static_cast<Phase>(index); }

// The least of 1, 2, 5, 10, 20... ms that is not below `value`.
Duration scale_for(Duration value) {
  constexpr std::array<int, 3> kFactors{1, 2, 5};
  Duration unit = std::chrono::milliseconds(1);
  for (;; unit *= 10) {
    for (const int factor : kFactors) {
      if (unit * factor >= value) return unit * factor;
    }
  }
}

double height_of(Duration value, Duration scale) {
  return kHeight * static_cast<double>(value.count()) / static_cast<double>(scale.count());
}

// Older steps than there are columns are left out.
std::size_t column_of(std::size_t step, std::size_t count) { return kColumns - count + step; }

// One path for all pieces of a phase: each begins where the phases before it have ended.
void phase_path(HtmlWriter& html, const std::vector<TrafficStep>& steps, std::size_t phase,
                Duration scale) {
  html.markup("<path class=\"p").number(phase).markup("\" d=\"");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const PhaseTimes& means = steps[i].means;
    const double height = height_of(means[phase], scale);
    if (height < 0.05) continue;
    Duration below{};
    for (std::size_t earlier = 0; earlier < phase; ++earlier) below += means[earlier];
    html.markup("M").number(column_of(i, steps.size())).markup(" ");
    html.markup(decimal_text(kHeight - height_of(below, scale), 1)).markup("h.9v-");
    html.markup(decimal_text(height, 1)).markup("h-.9z");
  }
  html.markup("\"/>");
}

std::string step_text(const TrafficStep& step) {
  std::string text = clock_text(step.end) + ": " + std::to_string(step.requests) + " requests, " +
                     duration_text(step.total);
  for (std::size_t i = 0; i < step.means.size(); ++i) {
    if (step.means[i] > Duration::zero())
      text += "\n" + std::string(to_string(phase_at(i))) + " " + duration_text(step.means[i]);
  }
  return text;
}

// Over the whole height, so that a low column can be pointed at too.
void tooltip(HtmlWriter& html, const TrafficStep& step, std::size_t column) {
  html.markup("<rect class=\"hit\" x=\"").number(column);
  html.markup("\" width=\"1\" height=\"").number(kHeight).markup("\"><title>");
  html.markup(step_text(step)).markup("</title></rect>");
}

void chart(HtmlWriter& html, const std::vector<TrafficStep>& steps, Duration scale) {
  html.markup(
      R"(<svg class="chart" role="img" aria-label="Chart of the phases; the table below has its values" preserveAspectRatio="none" viewBox="0 0 )");
  html.number(kColumns).markup(" ").number(kHeight).markup("\">");
  for (std::size_t phase = 0; phase < kPhaseCount; ++phase) phase_path(html, steps, phase, scale);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].requests > 0) tooltip(html, steps[i], column_of(i, steps.size()));
  }
  html.markup("</svg>\n");
}

// What the phases are called and what each took in all that is shown.
void legend(HtmlWriter& html, const std::vector<TrafficStep>& steps) {
  std::uint64_t requests = 0;
  PhaseTimes sums{};
  for (const TrafficStep& step : steps) {
    requests += step.requests;
    for (std::size_t i = 0; i < sums.size(); ++i)
      sums[i] += step.means[i] * static_cast<Duration::rep>(step.requests);
  }
  html.markup("<ul class=\"legend\">");
  for (std::size_t i = 0; i < sums.size(); ++i) {
    html.markup("<li><svg aria-hidden=\"true\" viewBox=\"0 0 1 1\"><rect class=\"p").number(i);
    html.markup("\" width=\"1\" height=\"1\"/></svg>").markup(to_string(phase_at(i)));
    if (requests > 0)
      html.markup(" <b>")
          .markup(duration_text(sums[i] / static_cast<Duration::rep>(requests)))
          .markup("</b>");
    html.markup("</li>");
  }
  html.markup("</ul>\n");
}

void table_row(HtmlWriter& html, const TrafficStep& step) {
  html.markup("<tr><th scope=\"row\">").markup(clock_text(step.end)).markup("</th><td>");
  html.number(step.requests).markup("</td>");
  for (const Duration mean : step.means) {
    html.markup("<td>");
    if (mean > Duration::zero()) html.markup(duration_text(mean));
    html.markup("</td>");
  }
  html.markup("</tr>\n");
}

void table(HtmlWriter& html, const std::vector<TrafficStep>& steps) {
  html.markup(
      "<details><summary>As a table</summary><div class=\"wide\" role=\"region\" tabindex=\"0\" "
      "aria-label=\"Phases as a table\"><table class=\"plain\"><thead><tr>"
      "<th scope=\"col\">Until</th><th scope=\"col\">Requests</th>");
  for (std::size_t i = 0; i < kPhaseCount; ++i)
    html.markup("<th scope=\"col\">").markup(to_string(phase_at(i))).markup("</th>");
  html.markup("</tr></thead><tbody>\n");
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (step->requests > 0) table_row(html, *step);
  }
  html.markup("</tbody></table></div></details>");
}

}  // namespace

std::string phases_part(const std::vector<TrafficStep>& all) {
  const std::size_t shown = std::min(all.size(), kColumns);
  const std::vector<TrafficStep> steps(all.end() - static_cast<std::ptrdiff_t>(shown), all.end());
  Duration highest{};
  for (const TrafficStep& step : steps) highest = std::max(highest, step.total);
  const Duration scale = scale_for(highest);
  HtmlWriter html;
  html.markup("<div class=\"axes\"><span>").markup(duration_text(scale)).markup("</span><span>");
  html.markup(duration_text(scale / 2)).markup("</span><span>0</span></div>\n");
  chart(html, steps, scale);
  html.markup("<div class=\"ages\"><span>5 min ago</span><span>now</span></div>\n");
  legend(html, steps);
  table(html, steps);
  return html.take();
}

}  // namespace penstock
