#include "config/sample.h"

#include <algorithm>
#include <string_view>

#include "config/key_table.h"

namespace penstock {
namespace {

constexpr std::size_t kWidth = 100;

constexpr std::string_view kHead =
    "## The configuration of penstock: every key with its default.\n"
    "##\n"
    "## Lines with one # are keys: remove the \"# \" at the start of a line (and of the section "
    "it\n"
    "## stands in) to set it. Lines with two explain. As it stands, this file changes nothing.\n"
    "##\n"
    "## Durations carry a unit (250ms, 1.5s, 1m30s, 1h; off is no limit), and so do sizes (512B,\n"
    "## 16KiB, 4MiB). `penstock check` tells all that is wrong with a file, `penstock explain "
    "URL`\n"
    "## what it does with a request and why. In brackets: what is allowed, and when a change "
    "takes\n"
    "## effect after a reload (SIGHUP).\n";

// YAML tools would make a number of a text that is all digits.
std::string default_in_yaml(const KeyRow& row) {
  const std::string text(row.default_text);
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  return row.type == ValueType::kText && digits ? '"' + text + '"' : text;
}

// A key that may stand in several places is shown in the widest, `defaults`.
bool is_shown_in(const KeyRow& row, KeyScope place) {
  return row.scope == place ||
         (row.scope == KeyScope::kRequestPolicy && place == KeyScope::kPolicy);
}

// "(what is allowed; when a change takes effect)"
std::string explained(const KeyRow& row) {
  return std::string(row.doc) + " (" + allowed_text(row) + "; " +
         std::string(to_string(row.reload)) + ')';
}

class SampleWriter {
 public:
  // The rows that a place shows, `indent` spaces in; `bullet` makes them the first item of a list.
  void rows(KeyScope place, std::size_t indent, bool bullet = false);
  void row(const KeyRow& row, std::size_t indent, bool bullet = false);
  void open_sections(std::string_view last, std::string_view next, std::size_t indent);

  void key(std::size_t indent, std::string_view text) {
    text_.append("# ").append(indent, ' ').append(text) += '\n';
  }
  void prose(std::size_t indent, std::string_view words);
  void routes(std::size_t indent);
  void raw(std::string_view text) { text_ += text; }
  void commented(std::string_view yaml, std::size_t indent = 0);
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

// Fills lines of kWidth columns that start with ##.
void SampleWriter::prose(std::size_t indent, std::string_view words) {
  const std::string start = "##" + std::string(indent + 1, ' ');
  std::string line = start;
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(' '));
    words.remove_prefix(std::min(words.size(), word.size() + 1));
    const bool first = line.size() == start.size();
    if (!first && line.size() + 1 + word.size() > kWidth) {
      text_ += line + '\n';
      line = start;
    } else if (!first) {
      line += ' ';
    }
    line += word;
  }
  text_ += line + '\n';
}

void SampleWriter::row(const KeyRow& row, std::size_t indent, bool bullet) {
  const std::string_view leaf = row.path.substr(row.path.rfind('.') + 1);
  const std::size_t column = indent + (bullet ? 2 : 0);
  prose(column, explained(row));
  key(indent, (bullet ? "- " : "") + std::string(leaf) + ": " + default_in_yaml(row));
}

// The names of the sections that `next` stands in and `last` did not: "retry:", below it "budget:".
void SampleWriter::open_sections(std::string_view last, std::string_view next, std::size_t indent) {
  for (std::size_t begin = 0; begin < next.size(); indent += 2) {
    const std::size_t end = std::min(next.find('.', begin), next.size());
    const std::string_view so_far = next.substr(0, end);
    const bool open = last == so_far || (last.starts_with(so_far) && last[so_far.size()] == '.');
    if (!open) key(indent, std::string(next.substr(begin, end - begin)) + ':');
    begin = end + 1;
  }
}

void SampleWriter::rows(KeyScope place, std::size_t indent, bool bullet) {
  std::string_view section;
  for (const KeyRow& each : key_rows()) {
    if (!is_shown_in(each, place)) continue;
    const std::size_t dot = each.path.rfind('.');
    const std::string_view own = dot == std::string_view::npos ? "" : each.path.substr(0, dot);
    const auto depth = own.empty() ? 0 : 1 + std::count(own.begin(), own.end(), '.');
    if (own != section) {
      const bool other = own.substr(0, own.find('.')) != section.substr(0, section.find('.'));
      if (indent == 0 && other) text_ += '\n';
      open_sections(section, own, indent);
      section = own;
    }
    row(each, indent + 2 * static_cast<std::size_t>(depth), bullet);
    if (bullet) indent += 2;
    bullet = false;
  }
}

// Prose with an example: any route would change what the file does.
void SampleWriter::routes(std::size_t indent) {
  prose(indent,
        "routes: other timeouts and retry for some requests, on the same connections. The first "
        "route that fits is taken; what it does not set is the upstream's. A route that sets "
        "nothing keeps its requests from later ones.");
  for (const KeyRow& row : key_rows()) {
    if (row.scope == KeyScope::kRoute) {
      prose(indent, std::string(row.path) + ": " + explained(row));
    }
  }
  commented(routes_yaml(), indent);
}

void SampleWriter::commented(std::string_view yaml, std::size_t indent) {
  while (!yaml.empty()) {
    const std::size_t end = yaml.find('\n');
    text_.append("## ").append(indent, ' ').append(yaml.substr(0, end + 1));
    yaml.remove_prefix(end + 1);
  }
}

}  // namespace

std::string sample_yaml() {
  SampleWriter out;
  out.raw(kHead);
  out.raw("\n");
  out.prose(0, "Where local apps reach the proxy.");
  out.key(0, "listeners:");
  out.rows(KeyScope::kListener, 2, true);
  out.rows(KeyScope::kTop, 0);
  out.raw("\n");
  out.prose(0, "What every upstream starts from; an upstream overrides it key by key.");
  out.key(0, "defaults:");
  out.rows(KeyScope::kPolicy, 2);
  out.raw("\n");
  out.prose(0,
            "Who is reached. Where no upstream is named, this one serves every host; a file "
            "that names some serves those alone, and others are answered 403. Besides these "
            "keys, an upstream takes all those of defaults.");
  out.key(0, "upstreams:");
  out.rows(KeyScope::kUpstream, 2, true);
  out.prose(4, "Of every key under defaults this is the only one with another default for \"*\".");
  out.key(4, "scheme: auto");
  out.routes(4);
  out.raw("\n");
  out.prose(0,
            "Two profiles to start from, for upstreams that are APIs and for slow or streaming "
            "ones:");
  out.raw("##\n");
  out.commented(profiles_yaml());
  return out.take();
}

std::string profiles_yaml() {
  return "upstreams:\n"
         "  - name: api\n"
         "    hosts: [api.example.com, \"*.api.example.com\"]\n"
         "    pool: {max_connections: 50, max_waiting: 200}\n"
         "    timeouts: {queue: 2s, response_header: 5s, body_stall: 20s, total: 60s}\n"
         "  - name: streaming\n"
         "    hosts: [events.example.com, reports.example.com]\n"
         "    timeouts: {response_header: 30m, body_stall: off, total: off}\n";
}

std::string routes_yaml() {
  return "routes:\n"
         "  - {methods: [POST], path_prefix: /reports, timeouts: {response_header: 15m, total: "
         "off}}\n"
         "  - {path_prefix: /health, timeouts: {total: 2s}, retry: {attempts: 0}}\n";
}

std::string minimal_yaml() {
  return "# yaml-language-server: $schema=penstock.schema.json\n"
         "#\n"
         "# One API with limits of its own, and every other host with the defaults. Apps set\n"
         "# http_proxy=http://127.0.0.1:3128 and write http://api.example.com/: penstock speaks\n"
         "# TLS to it. All keys and their defaults are in penstock.yaml.\n"
         "listeners:\n"
         "  - address: 127.0.0.1:3128\n"
         "upstreams:\n"
         "  - name: api\n"
         "    hosts: [api.example.com]\n"
         "    pool: {max_connections: 50}\n"
         "    timeouts: {response_header: 5s, total: 20s}\n"
         "  - name: everything-else\n"
         "    hosts: [\"*\"]\n";
}

}  // namespace penstock
