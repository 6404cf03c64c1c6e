#include "config/manual.h"

#include <algorithm>
#include <string_view>

#include "config/key_table.h"
#include "config/sample.h"

namespace penstock {
namespace {

constexpr std::size_t kWidth = 78;

constexpr std::string_view kHead =
    ".\\\" Made from the table of keys: PENSTOCK_UPDATE_CONFIG=1 config_test writes it anew.\n"
    ".Dd November 22, 2026\n"
    ".Dt PENSTOCK.YAML 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm penstock.yaml\n"
    ".Nd configuration of the penstock HTTP proxy\n"
    ".Sh DESCRIPTION\n"
    ".Xr penstock 8\n"
    "reads one YAML file: that of\n"
    ".Fl c ,\n"
    "else that of\n"
    ".Ev PENSTOCK_CONFIG ,\n"
    "else\n"
    ".Pa /etc/penstock/penstock.yaml .\n"
    "Every key may be left out but the few that say so.\n"
    "A key that does not exist or comes twice, and a value out of range, is a fault:\n"
    ".Nm penstock Cm check\n"
    "tells all of them with their lines, and a daemon that is told to read a\n"
    "faulty file goes on with the one it has.\n"
    ".Pp\n"
    "Durations carry a unit\n"
    ".Pq 250ms, 1.5s, 1m30s, 1h ,\n"
    "and so do sizes\n"
    ".Pq 512B, 16KiB, 4MiB .\n"
    ".Cm off\n"
    "is no limit.\n"
    "Lists are written\n"
    ".Li [a, b] .\n"
    ".Pp\n"
    "After a reload, a changed value holds for what comes next\n"
    ".Pq live ,\n"
    "for connections to upstreams that are opened from then on\n"
    ".Pq new connections ,\n"
    "or only once the daemon is started again\n"
    ".Pq restart .\n"
    ".Sh KEYS\n";

constexpr std::string_view kTail =
    ".Sh SEE ALSO\n"
    ".Xr penstock 8\n"
    ".Pp\n"
    ".Pa /usr/share/doc/penstock/penstock.schema.json ,\n"
    "the JSON Schema of this file, for editors.\n";

// Text as roff takes it: a hyphen that is one when it is copied, and no requests.
std::string escaped(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out = "\\&";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else {
      out += c == '-' ? "\\-" : std::string(1, c);
    }
  }
  return out;
}

// What is no word of English is not hyphenated.
std::string escaped_word(std::string_view word) {
  const std::size_t mark = word.find_first_of("/:_");
  const bool is_name = mark != std::string_view::npos && mark + 1 != word.size();
  return (is_name ? "\\%" : "") + escaped(word);
}

// Lines of kWidth columns; each sentence begins one.
std::string filled(std::string_view text) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::string word = escaped_word(text.substr(0, text.find(' ')));
    text.remove_prefix(std::min(text.size(), text.find(' ')));
    text.remove_prefix(std::min<std::size_t>(text.size(), 1));
    const bool fits = column + 1 + word.size() <= kWidth;
    if (column != 0) out += fits ? ' ' : '\n';
    column = column != 0 && fits ? column + 1 + word.size() : word.size();
    out += word;
    if (word.ends_with('.') && !text.empty()) {
      out += '\n';
      column = 0;
    }
  }
  return out + '\n';
}

std::string entry(const KeyRow& row) {
  std::string text(row.doc);
  if (row.required) text += " It has to be there.";
  text += " Allowed: " + allowed_text(row) + '.';
  if (!row.required) text += " Default: " + std::string(row.default_text) + '.';
  text += " After a reload: " + std::string(to_string(row.reload)) + '.';
  return ".It Ic " + std::string(row.path) + '\n' + filled(text);
}

std::string entries(KeyScope scope) {
  std::string text = ".Bl -tag -width Ds\n";
  for (const KeyRow& row : key_rows()) {
    if (row.scope == scope) text += entry(row);
  }
  return text + ".El\n";
}

std::string place(std::string_view name, std::string_view prose, KeyScope scope) {
  return ".Ss " + std::string(name) + '\n' + filled(prose) + entries(scope);
}

std::string example(std::string_view prose, std::string_view yaml) {
  std::string text = filled(prose) + ".Bd -literal -offset indent\n";
  while (!yaml.empty()) {
    const std::size_t end = yaml.find('\n');
    text += escaped(yaml.substr(0, end)) + '\n';
    yaml.remove_prefix(end + 1);
  }
  return text + ".Ed\n";
}

}  // namespace

std::string manual_page() {
  std::string text(kHead);
  text += place("Listeners", "In each item of listeners: where local programs reach the proxy.",
                KeyScope::kListener);
  text += place("The process", "At the top of the file.", KeyScope::kTop);
  text += place("Connections",
                "In defaults, which every upstream starts from, and in each upstream, which "
                "overrides them key by key.",
                KeyScope::kPolicy);
  text += place("Requests", "In the same places, and in the routes of an upstream.",
                KeyScope::kRequestPolicy);
  text += place("Upstreams",
                "In each item of upstreams: who is reached. A file that names no upstream has one "
                "for every host; one that names some serves those alone, and others are answered "
                "403.",
                KeyScope::kUpstream);
  text += place("Routes",
                "In each item of routes of an upstream: other values for some of its requests, on "
                "the same connections. The first route that fits is taken.",
                KeyScope::kRoute);
  text += ".Sh EXAMPLES\n";
  text += example("A file of the usual shape:", minimal_yaml());
  text += ".Pp\n";
  text += example("Upstreams that are APIs, and slow or streaming ones:", profiles_yaml());
  text += ".Pp\n";
  text += example("Routes of an upstream:", routes_yaml());
  return text.append(kTail);
}

}  // namespace penstock
