#include "telemetry/prometheus_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace penstock {
namespace {

constexpr std::array<std::string_view, Histogram::kBoundCount + 1> kBoundTexts = {
    "0.001", "0.005", "0.025", "0.1", "0.5", "2.5", "10", "60", "+Inf"};

double in_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

void append_label_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    switch (c) {
      case '\\':
        out += "\\\\";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\n':
        out += "\\n";
        break;
      default:
        out += c;
    }
  }
}

}  // namespace

void PrometheusText::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  out_.append("# HELP ").append(name).append(" ").append(help).append("\n");
  out_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void PrometheusText::sample(MetricLabels labels, std::uint64_t value) {
  series("", labels);
  line_value(value);
}

void PrometheusText::sample(MetricLabels labels, std::int64_t value) {
  series("", labels);
  line_value(value);
}

void PrometheusText::sample(MetricLabels labels, double value) {
  series("", labels);
  if (std::isinf(value)) {
    out_ += value > 0 ? "+Inf\n" : "-Inf\n";
  } else {
    line_value(value);
  }
}

void PrometheusText::sample(std::initializer_list<MetricLabel> list, const Histogram& value) {
  const MetricLabels labels(list.begin(), list.size());
  std::uint64_t cumulative = 0;
  for (int i = 0; i <= Histogram::kBoundCount; ++i) {
    cumulative += value.bucket(i);
    series("_bucket", labels, kBoundTexts[static_cast<std::size_t>(i)]);
    line_value(cumulative);
  }
  series("_sum", labels);
  line_value(in_seconds(value.sum()));
  series("_count", labels);
  line_value(cumulative);
}

void PrometheusText::series(std::string_view suffix, MetricLabels labels, std::string_view bound) {
  out_.append(name_).append(suffix);
  char opening = '{';
  for (const MetricLabel& each : labels) {
    label(opening, each.name, each.value);
    opening = ',';
  }
  if (!bound.empty()) {
    label(opening, "le", bound);
    opening = ',';
  }
  if (opening == ',') out_ += '}';
  out_ += ' ';
}

void PrometheusText::label(char opening, std::string_view name, std::string_view value) {
  out_ += opening;
  out_.append(name).append("=\"");
  append_label_escaped(out_, value);
  out_ += '"';
}

void PrometheusText::line_value(auto value) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  out_ += '\n';
}

}  // namespace penstock
