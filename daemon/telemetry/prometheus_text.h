// Writes the Prometheus text exposition format, version 0.0.4, and knows nothing of what it writes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "telemetry/metrics.h"

namespace penstock {

struct MetricLabel {
  std::string_view name;
  std::string_view value;
};
using MetricLabels = std::span<const MetricLabel>;

// A value of the duration of one render; grows the text that it was given.
class PrometheusText {
 public:
  explicit PrometheusText(std::string& out) : out_(out) {}

  // The head of a family; its samples follow. `name` outlives them.
  void counter(std::string_view name, std::string_view help) { family(name, "counter", help); }
  void gauge(std::string_view name, std::string_view help) { family(name, "gauge", help); }
  void histogram(std::string_view name, std::string_view help) { family(name, "histogram", help); }

  void sample(MetricLabels labels, std::uint64_t value);
  void sample(MetricLabels labels, std::int64_t value);
  void sample(MetricLabels labels, double value);
  void sample(std::initializer_list<MetricLabel> labels, auto value) {
    sample(MetricLabels(labels.begin(), labels.size()), value);
  }
  // The cumulative buckets, the sum in seconds and the count.
  void sample(std::initializer_list<MetricLabel> labels, const Histogram& value);

 private:
  void family(std::string_view name, std::string_view type, std::string_view help);
  void series(std::string_view suffix, MetricLabels labels, std::string_view bound = {});
  void label(char opening, std::string_view name, std::string_view value);
  void line_value(auto value);

  std::string& out_;
  std::string_view name_;
};

}  // namespace penstock
