// MetricsRegistry::render: adds the workers up and writes each family once, in a fixed order.

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "telemetry/metrics.h"
#include "telemetry/prometheus_text.h"

namespace penstock {

struct MetricsRegistry::Totals {
  Upstreams upstreams;
  std::map<std::string, ListenerMetrics> listeners;
};

namespace {

using Upstreams = std::map<std::string, UpstreamMetrics>;
using Listeners = std::map<std::string, ListenerMetrics>;

double since_epoch(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

template <typename Enum>
void for_each_value(int count, auto&& visit) {
  for (int i = 0; i < count; ++i) visit(static_cast<Enum>(i));
}

// Names and values as parameters: no lambda may capture structured bindings before Clang 16.
void for_each(const auto& by_name, auto&& visit) {
  for (const auto& [name, metrics] : by_name) visit(name, metrics);
}

// The pairs that can be told of any upstream show a zero from the start; the rest when they happen.
bool always_shown(CodeClass code_class, StatusSource source) {
  switch (source) {
    case StatusSource::kUpstream:
      return code_class != CodeClass::k1xx && code_class != CodeClass::kNone;
    case StatusSource::kProxy:
      return code_class == CodeClass::k4xx || code_class == CodeClass::k5xx;
    case StatusSource::kNone:
      return code_class == CodeClass::kNone;
  }
  return false;
}

void render_requests(PrometheusText& text, const Upstreams& upstreams) {
  text.counter("penstock_requests_total",
               "Finished requests by class and source of the status that the client got.");
  for_each(upstreams, [&](std::string_view name, const UpstreamMetrics& upstream) {
    for_each_value<CodeClass>(kCodeClassCount, [&](CodeClass code_class) {
      for_each_value<StatusSource>(kStatusSourceCount, [&](StatusSource source) {
        const std::uint64_t count = upstream.requests[code_class][source].value();
        if (count == 0 && !always_shown(code_class, source)) return;
        text.sample({{"upstream", name},
                     {"code_class", to_string(code_class)},
                     {"source", to_string(source)}},
                    count);
      });
    });
  });
}

void render_durations(PrometheusText& text, const Upstreams& upstreams) {
  text.histogram("penstock_request_duration_seconds",
                 "Request head read to last response byte delivered.");
  for (const auto& [name, upstream] : upstreams) {
    text.sample({{"upstream", name}}, upstream.request_duration);
  }
  text.histogram("penstock_exchange_duration_seconds",
                 "First request byte written to last response byte read.");
  for (const auto& [name, upstream] : upstreams) {
    text.sample({{"upstream", name}}, upstream.exchange_duration);
  }
  text.histogram("penstock_phase_duration_seconds", "Time spent in each phase that happened.");
  for_each(upstreams, [&](std::string_view name, const UpstreamMetrics& upstream) {
    for_each_value<Phase>(kPhaseCount, [&](Phase phase) {
      text.sample({{"upstream", name}, {"phase", to_string(phase)}},
                  upstream.phase_duration[phase]);
    });
  });
}

void render_errors(PrometheusText& text, const Upstreams& upstreams) {
  text.counter("penstock_errors_total", "Failed requests by error token and phase.");
  for_each(upstreams, [&](std::string_view name, const UpstreamMetrics& upstream) {
    for_each_value<ErrorCode>(kErrorCodeCount, [&](ErrorCode code) {
      for (std::size_t i = 0; i <= kPhaseCount; ++i) {
        const std::uint64_t count = upstream.errors[code][i].value();
        if (count == 0) continue;
        const auto phase = i == kPhaseCount ? "none" : to_string(static_cast<Phase>(i));
        text.sample({{"upstream", name}, {"token", token(code)}, {"phase", phase}}, count);
      }
    });
  });
}

void render_pools(PrometheusText& text, const PoolGauges& pools) {
  text.gauge("penstock_pool_connections", "Upstream connections now, by state.");
  for (const PoolGauge& pool : pools) {
    text.sample({{"upstream", pool.upstream}, {"state", "dialing"}}, pool.dialing);
    text.sample({{"upstream", pool.upstream}, {"state", "idle"}}, pool.idle);
    text.sample({{"upstream", pool.upstream}, {"state", "busy"}}, pool.busy);
    text.sample({{"upstream", pool.upstream}, {"state", "draining"}}, pool.draining);
    text.sample({{"upstream", pool.upstream}, {"state", "upgraded"}}, pool.upgraded);
  }
  text.gauge("penstock_tunnels", "CONNECT and Upgrade tunnels now.");
  for (const PoolGauge& pool : pools) text.sample({{"upstream", pool.upstream}}, pool.upgraded);
  text.gauge("penstock_pool_connections_limit",
             "The most there may be: pool.max_connections for each host that is known.");
  for (const PoolGauge& pool : pools) text.sample({{"upstream", pool.upstream}}, pool.limit);
  text.gauge("penstock_pool_waiting", "Requests that wait for a connection now.");
  for (const PoolGauge& pool : pools) text.sample({{"upstream", pool.upstream}}, pool.waiting);
  text.gauge("penstock_pool_oldest_wait_seconds", "How long the oldest of them has waited.");
  for (const PoolGauge& pool : pools) {
    text.sample({{"upstream", pool.upstream}},
                std::chrono::duration<double>(pool.oldest_wait).count());
  }
  text.gauge("penstock_pool_paused", "1 while an operator has paused the upstream.");
  for (const PoolGauge& pool : pools) {
    text.sample({{"upstream", pool.upstream}}, std::uint64_t{pool.paused});
  }
}

void render_certificates(PrometheusText& text, const PoolGauges& pools) {
  text.gauge("penstock_certificate_not_after_seconds",
             "When the client certificate (tls.cert_file) or its chain ends, since the epoch.");
  for (const PoolGauge& pool : pools) {
    if (pool.certificate_not_after)
      text.sample({{"upstream", pool.upstream}}, since_epoch(*pool.certificate_not_after));
  }
}

void render_retries(PrometheusText& text, const Upstreams& upstreams) {
  text.counter("penstock_retries_total",
               "Further tries on a new connection, by what became of them.");
  for_each(upstreams, [&](std::string_view name, const UpstreamMetrics& upstream) {
    for_each_value<RetryResult>(kRetryResultCount, [&](RetryResult result) {
      text.sample({{"upstream", name}, {"result", to_string(result)}},
                  upstream.retries[result].value());
    });
  });
}

void render_acquires(PrometheusText& text, const Upstreams& upstreams) {
  text.counter("penstock_pool_acquires_total", "How requests came by their connections.");
  for_each(upstreams, [&](std::string_view name, const UpstreamMetrics& upstream) {
    for_each_value<AcquireResult>(kAcquireResultCount, [&](AcquireResult result) {
      text.sample({{"upstream", name}, {"result", to_string(result)}},
                  upstream.acquires[result].value());
    });
  });
}

void render_connections(PrometheusText& text, const Upstreams& upstreams) {
  text.counter("penstock_connections_opened_total", "Upstream connections opened.");
  for (const auto& [name, upstream] : upstreams) {
    text.sample({{"upstream", name}}, upstream.connections_opened.value());
  }
  text.counter("penstock_connections_closed_total", "Upstream connections closed, by reason.");
  for_each(upstreams, [&](std::string_view name, const UpstreamMetrics& upstream) {
    for_each_value<CloseReason>(kCloseReasonCount, [&](CloseReason reason) {
      const std::uint64_t count = upstream.connections_closed[reason].value();
      if (count == 0) return;
      text.sample({{"upstream", name}, {"reason", to_string(reason)}}, count);
    });
  });
  text.counter("penstock_tls_handshakes_total", "TLS handshakes with upstreams.");
  for (const auto& [name, upstream] : upstreams) {
    text.sample({{"upstream", name}, {"resumed", "false"}}, upstream.tls_full_handshakes.value());
    text.sample({{"upstream", name}, {"resumed", "true"}}, upstream.tls_resumed_handshakes.value());
  }
}

void render_listeners(PrometheusText& text, const Listeners& listeners) {
  text.gauge("penstock_client_connections", "Client connections now.");
  for (const auto& [name, listener] : listeners) {
    text.sample({{"listener", name}}, listener.client_connections.value());
  }
  text.counter("penstock_client_rejected_total", "Clients turned away, by reason.");
  for_each(listeners, [&](std::string_view name, const ListenerMetrics& listener) {
    for_each_value<RejectReason>(kRejectReasonCount, [&](RejectReason reason) {
      text.sample({{"listener", name}, {"reason", to_string(reason)}},
                  listener.rejected[reason].value());
    });
  });
}

void render_daemon(PrometheusText& text, const ProcessInfo& process) {
  text.gauge("penstock_config_last_reload_successful", "1 when the last load was applied, else 0.");
  text.sample({}, process.last_reload_successful ? std::uint64_t{1} : std::uint64_t{0});
  text.gauge("penstock_config_last_reload_timestamp_seconds", "When the last load was applied.");
  text.sample({}, since_epoch(process.last_reload));
  text.counter("penstock_log_dropped_lines_total", "Log lines lost, by log.");
  for (const auto& [log, lines] : process.dropped_lines) text.sample({{"log", log}}, lines);
  text.gauge("penstock_buffer_bytes", "What all buffers hold.");
  text.sample({}, process.buffer_bytes);
  text.gauge("penstock_buffer_bytes_limit", "process.max_buffers.");
  text.sample({}, process.buffer_limit);
  text.gauge("penstock_loop_lag_seconds", "The longest turn of a worker since the last scrape.");
  for (std::size_t i = 0; i < process.loop_lags.size(); ++i) {
    text.sample({{"worker", std::to_string(i)}},
                std::chrono::duration<double>(process.loop_lags[i]).count());
  }
  text.gauge("penstock_build_info", "Always 1; the labels are the versions.");
  std::vector<MetricLabel> labels;
  for (const auto& [name, value] : process.build) labels.push_back({name, value});
  text.sample(MetricLabels(labels), std::uint64_t{1});
}

void render_dns(PrometheusText& text, const ProcessInfo& process) {
  text.counter("penstock_dns_lookups_total",
               "Requests for the addresses of a name, by how each ended.");
  for (const auto& [result, count] : process.dns_lookups) text.sample({{"result", result}}, count);
}

void render_process(PrometheusText& text, const ProcessStats& stats) {
  text.counter("process_cpu_seconds_total", "User and system CPU time.");
  text.sample({}, stats.cpu_seconds);
  text.gauge("process_resident_memory_bytes", "Resident memory.");
  text.sample({}, stats.resident_bytes);
  text.gauge("process_virtual_memory_bytes", "Virtual memory.");
  text.sample({}, stats.virtual_bytes);
  text.gauge("process_open_fds", "Open file descriptors.");
  text.sample({}, stats.open_fds);
  text.gauge("process_max_fds", "The most that may be open.");
  text.sample({}, stats.max_fds);
  text.gauge("process_start_time_seconds", "When the process began, since the epoch.");
  text.sample({}, stats.start_time_seconds);
}

}  // namespace

void MetricsRegistry::sum(Totals& totals) const {
  const std::lock_guard lock(mutex_);
  for (const auto& worker : workers_) {
    const std::lock_guard worker_lock(worker->mutex_);
    for (const auto& [name, part] : worker->upstreams_) totals.upstreams[name].add(part);
    for (const auto& [name, part] : worker->listeners_) totals.listeners[name].add(part);
  }
}

std::string MetricsRegistry::render(const PoolGauges& pools, const ProcessInfo& process) const {
  Totals totals;
  sum(totals);
  std::string out;
  PrometheusText text(out);
  render_requests(text, totals.upstreams);
  render_durations(text, totals.upstreams);
  render_errors(text, totals.upstreams);
  render_pools(text, pools);
  render_certificates(text, pools);
  render_acquires(text, totals.upstreams);
  render_retries(text, totals.upstreams);
  render_connections(text, totals.upstreams);
  render_listeners(text, totals.listeners);
  render_daemon(text, process);
  render_dns(text, process);
  render_process(text, process.stats);
  return out;
}

}  // namespace penstock
