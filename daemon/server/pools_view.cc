#include "server/pools_view.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace penstock {

namespace {

using Host = PoolsView::Host;
using Row = std::vector<std::string>;

// What comes from elsewhere must not move the cursor.
std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return out;
}

std::string decimal(double value, const char* unit = "") {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f%s", value, unit);
  return text.data();
}

std::string milliseconds_text(std::uint64_t ms) {
  if (ms == 0) return "-";
  return ms < 1000 ? std::to_string(ms) + "ms" : decimal(static_cast<double>(ms) / 1000, "s");
}

// Of the requests, those that needed no new connection. More are opened than asked for where some
// are kept warm.
std::string reuse_text(const Host& host) {
  if (host.acquires == 0 || host.opened == 0) return "-";
  const std::uint64_t reused = host.acquires - std::min(host.opened, host.acquires);
  return decimal(100.0 * static_cast<double>(reused) / static_cast<double>(host.acquires), "%");
}

const Row kTitles{"UPSTREAM", "ORIGIN",  "BUSY",   "IDLE",   "DIALING", "DRAINING",  "UPGRADED",
                  "LIMIT",    "WAITING", "OLDEST", "OPENED", "REUSE",   "LAST ERROR"};
constexpr std::size_t kTextColumns = 2;  // from the left; the numbers after them are right-aligned

Row row_of(const Host& host) {
  return {printable(host.upstream) + (host.paused ? " (paused)" : ""),
          host.origin.empty() ? "-" : printable(host.origin),
          std::to_string(host.busy),
          std::to_string(host.idle),
          std::to_string(host.dialing),
          std::to_string(host.draining),
          std::to_string(host.upgraded),
          host.limit ? std::to_string(*host.limit) : "-",
          std::to_string(host.waiting),
          milliseconds_text(host.oldest_wait_ms),
          std::to_string(host.opened),
          reuse_text(host),
          host.last_error.empty() ? "-" : printable(host.last_error)};
}

std::vector<std::string> align(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const Row& row : rows) {
    std::string& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      const bool last = i + 1 == row.size();
      if (i > 0) line += "  ";
      if (i < kTextColumns || last) {
        line += row[i] + (last ? "" : space);
      } else {
        line += space + row[i];
      }
    }
  }
  return lines;
}

const Host* find_host(const PoolsView& pools, const Host& wanted) {
  const auto at = std::ranges::find_if(pools.hosts, [&](const Host& host) {
    return host.upstream == wanted.upstream && host.origin == wanted.origin;
  });
  return at == pools.hosts.end() ? nullptr : &*at;
}

// Counters of a host that was forgotten and met again begin anew.
std::string rate_text(std::uint64_t now, std::uint64_t before, double seconds) {
  return decimal(static_cast<double>(now - std::min(before, now)) / seconds);
}

void add_rates(Row& row, const Host& host, const PoolsView* before, double seconds) {
  std::string requests = "-";
  std::string opened = "-";
  if (before != nullptr && seconds > 0) {
    const Host* then = find_host(*before, host);
    requests = rate_text(host.acquires, then == nullptr ? 0 : then->acquires, seconds);
    opened = rate_text(host.opened, then == nullptr ? 0 : then->opened, seconds);
  }
  row.insert(row.begin() + kTextColumns, {std::move(requests), std::move(opened)});
}

std::string summary(const PoolsView& pools) {
  std::uint64_t busy = 0;
  std::uint64_t idle = 0;
  std::uint64_t waiting = 0;
  for (const Host& host : pools.hosts) {
    busy += host.busy;
    idle += host.idle;
    waiting += host.waiting;
  }
  return "penstock top, revision " + std::to_string(pools.revision) + ": " +
         std::to_string(pools.hosts.size()) + (pools.truncated ? "+" : "") + " hosts, " +
         std::to_string(busy) + " busy, " + std::to_string(idle) + " idle, " +
         std::to_string(waiting) + " waiting (q leaves)";
}

}  // namespace

std::string pools_table(const PoolsView& pools) {
  std::vector<Row> rows{kTitles};
  for (const Host& host : pools.hosts) rows.push_back(row_of(host));
  std::string text;
  for (const std::string& line : align(rows)) text += line + '\n';
  if (pools.truncated) text += "(there are more; --upstream shows those of one)\n";
  return text;
}

std::vector<std::string> top_lines(const PoolsView& pools, const PoolsView* before, double seconds,
                                   std::size_t width, std::size_t height) {
  std::vector<const Host*> hosts;
  for (const Host& host : pools.hosts) hosts.push_back(&host);
  std::ranges::stable_sort(hosts, std::ranges::greater(),
                           [](const Host* host) { return host->busy + host->waiting; });
  if (hosts.size() + 2 > height) hosts.resize(height > 2 ? height - 2 : 0);
  std::vector<Row> rows{kTitles};
  rows[0].insert(rows[0].begin() + kTextColumns, {"REQ/S", "OPENED/S"});
  for (const Host* host : hosts)
    add_rates(rows.emplace_back(row_of(*host)), *host, before, seconds);
  std::vector<std::string> lines = align(rows);
  lines.insert(lines.begin(), summary(pools));
  if (lines.size() > height) lines.resize(height);
  for (std::string& line : lines) {
    if (line.size() > width) line.resize(width);
  }
  return lines;
}

}  // namespace penstock
