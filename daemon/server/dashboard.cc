#include "server/dashboard.h"

#include "server/dashboard_assets.h"
#include "server/dashboard_parts.h"
#include "server/display.h"
#include "server/failures_json.h"

namespace penstock {

namespace {

// Nothing from elsewhere, nothing inline, no frame around it.
constexpr std::string_view kGuards =
    "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n";

AdminReply guarded(std::string_view type, std::string_view body) {
  return {.type = type, .body = std::string(body), .fields = kGuards};
}

std::string escaped(std::string_view text) { return HtmlWriter().text(text).take(); }

std::string config_part(const DaemonFacts& facts) {
  if (!facts.has_config_page) return {};
  return std::string(asset::kConfigPart);
}

}  // namespace

Dashboard::Dashboard(Loop& loop, const MetricsRegistry& metrics)
    : loop_(loop),
      metrics_(metrics),
      started_(loop.now()),
      sample_due_(loop.timers(), Delegate<void()>::to<&Dashboard::on_sample_due>(*this)) {}

void Dashboard::begin() { on_sample_due(); }

void Dashboard::on_sample_due() {
  history_.add(traffic_of(metrics_.upstreams(), loop_.now(), loop_.wall_now()));
  sample_due_.arm(loop_.now() + TrafficHistory::kStep);
}

AdminReply Dashboard::page(const DaemonFacts& facts) const {
  const MetricsRegistry::Upstreams totals = metrics_.upstreams();
  const TrafficSample now = traffic_of(totals, loop_.now(), loop_.wall_now());
  return guarded(
      media_type::kHtml,
      fill_in(asset::kPage, {{"version", escaped(facts.version)},
                             {"state", std::string(facts.state)},
                             {"revision", std::to_string(facts.revision)},
                             {"loaded", date_text(facts.last_reload)},
                             {"uptime", duration_text(loop_.now() - started_)},
                             {"time", clock_text(now.wall)},
                             {"alerts", alerts_part(facts)},
                             {"upstreams", upstreams_part(facts.pools, totals, history_, now)},
                             {"phases", phases_part(history_.steps(now))},
                             {"failures", failures_part(metrics_.recent_failures())},
                             {"config", config_part(facts)}}));
}

AdminReply Dashboard::failures(std::string_view upstream) const {
  return {.type = media_type::kJson,
          .body = failures_json(metrics_.recent_failures(), upstream, loop_.wall_now())};
}

AdminReply Dashboard::style() { return guarded(media_type::kCss, asset::kStyle); }
AdminReply Dashboard::script() { return guarded(media_type::kJavaScript, asset::kScript); }
AdminReply Dashboard::icon() { return guarded(media_type::kSvg, asset::kIcon); }

}  // namespace penstock
