#include "server/doctor_report.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <utility>

namespace penstock {
namespace {

constexpr std::size_t kMaxRows = 40;
constexpr std::size_t kMaxRequestWidth = 60;

// One line of the log. What did not happen is an empty text.
struct Sighting {
  std::string status;  // "-" for none
  std::string method;
  std::string target;  // host and path
  std::map<std::string, std::string, std::less<>> values;
  std::string times;  // "connect 0.1 tls 2.3": the values that end in _ms, in the log's order

  std::string_view value(std::string_view name) const {
    const auto found = values.find(name);
    return found == values.end() ? std::string_view() : std::string_view(found->second);
  }
  bool is_connect() const { return value("form") == "connect" || method == "CONNECT"; }
  bool is_unwrapped() const { return value("form") == "unwrapped"; }
  bool is_http() const { return method != "-"; }
  bool had_connection() const { return !value("reused").empty(); }
  bool reused() const { return value("reused") == "true"; }
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

void read_value(std::string_view word, Sighting& sighting) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  sighting.values.emplace(name, value);
  if (!name.ends_with("_ms")) return;
  sighting.times += (sighting.times.empty() ? "" : ", ") +
                    std::string(name.substr(0, name.size() - 3)) + ' ' + std::string(value);
}

// TIME STATUS METHOD TARGET NAME=VALUE...
std::vector<Sighting> read_log(std::string_view log) {
  std::vector<Sighting> sightings;
  for (const std::string_view line : split(log, '\n')) {
    const std::vector<std::string_view> words = split(line, ' ');
    if (words.size() < 4) continue;
    Sighting& sighting = sightings.emplace_back();
    sighting.status = words[1];
    sighting.method = words[2];
    sighting.target = words[3];
    if (sighting.method == "CONNECT" && sighting.target.ends_with('/')) sighting.target.pop_back();
    for (std::size_t i = 4; i < words.size(); ++i) read_value(words[i], sighting);
  }
  return sightings;
}

// A tunnel to port 80 that the proxy looked into is no request of its own: what it carried is
// there.
void drop_opened_tunnels(std::vector<Sighting>& sightings) {
  std::set<std::string, std::less<>> opened;
  for (const Sighting& sighting : sightings) {
    if (sighting.is_unwrapped()) opened.emplace(sighting.value("client"));
  }
  std::erase_if(sightings, [&](const Sighting& sighting) {
    return sighting.is_connect() && opened.contains(sighting.value("client"));
  });
}

// "1 request", "2 requests".
std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + ' ' + std::string(noun) + (count == 1 ? "" : "s");
}

std::string host_of(const Sighting& sighting) {
  return sighting.target.substr(0, sighting.target.find('/'));
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// The table

using Row = std::array<std::string, 6>;

std::string how_it_came(const Sighting& sighting) {
  if (sighting.is_connect()) return "CONNECT";
  if (!sighting.is_http()) return "no HTTP";
  return sighting.value("form").empty() ? "-" : std::string(sighting.value("form"));
}

std::string answer_of(const Sighting& sighting) {
  const std::string_view error = sighting.value("error");
  if (error.empty()) return sighting.status;
  std::string text = sighting.status + ' ' + std::string(error);
  const std::string_view phase = sighting.value("error_phase");
  return phase.empty() ? text : text + " in " + std::string(phase);
}

std::string connection_of(const Sighting& sighting) {
  if (sighting.is_connect()) return sighting.value("error").empty() ? "tunnel" : "none";
  if (!sighting.had_connection()) return "none";
  return (sighting.reused() ? "reused " : "new ") + std::string(sighting.value("conn_id"));
}

Row row_of(std::size_t number, const Sighting& sighting) {
  std::string request = sighting.method + ' ' + sighting.target;
  if (request.size() > kMaxRequestWidth) request = request.substr(0, kMaxRequestWidth - 3) + "...";
  return {std::to_string(number), how_it_came(sighting),   std::move(request),
          answer_of(sighting),    connection_of(sighting), sighting.times};
}

std::string table_of(const std::vector<Sighting>& sightings) {
  std::vector<Row> rows = {{"#", "came as", "request", "answer", "connection", "ms"}};
  for (const Sighting& sighting : sightings) {
    if (rows.size() > kMaxRows) break;
    rows.push_back(row_of(rows.size(), sighting));
  }
  Row::size_type column = 0;
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (std::size_t& width : widths) {
    for (const Row& row : rows) width = std::max(width, row[column].size());
    ++column;
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += "  " + row[i] + std::string(widths[i] - row[i].size(), ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  if (sightings.size() > kMaxRows)
    text += "  ... and " + std::to_string(sightings.size() - kMaxRows) + " more\n";
  return text;
}

std::string summary_of(const std::vector<Sighting>& sightings) {
  std::size_t opened = 0;
  std::size_t reused = 0;
  std::set<std::string_view> clients;
  for (const Sighting& sighting : sightings) {
    clients.insert(sighting.value("client"));
    if (sighting.had_connection() && !sighting.is_connect())
      ++(sighting.reused() ? reused : opened);
  }
  return counted(sightings.size(), "request") + " over " + counted(clients.size(), "connection") +
         " to the proxy; upstream " + counted(opened, "connection") + " opened, " +
         std::to_string(reused) + " reused\n";
}

// Hints: each says what was seen and what to do about it, or is empty.

struct ProgramHint {
  std::string_view prefix;
  std::string_view text;
};

constexpr std::array kProgramHints = {
    ProgramHint{"node",
                "Node's http module and fetch ignore the variable, unless NODE_USE_ENV_PROXY=1 "
                "(newer Nodes) or a ProxyAgent of undici says otherwise"},
    ProgramHint{
        "java",
        "Java ignores the variables: give it the options that `penstock env --format java` prints"},
    ProgramHint{"php",
                "PHP's http:// streams ignore the variable: set `proxy` and `request_fulluri` in a "
                "stream context; PHP-FPM "
                "clears the environment, so curl needs CURLOPT_PROXY there"},
    ProgramHint{"python", "aiohttp reads the variable only with trust_env=True"},
};

std::string program_hint(const std::vector<std::string>& command) {
  const std::string program = command.empty() ? "" : base_name(command.front());
  for (const ProgramHint& hint : kProgramHints) {
    if (program.starts_with(hint.prefix)) return std::string(hint.text) + '.';
  }
  return {};
}

// The first word of the command that holds `part`.
std::string find_word(const std::vector<std::string>& command, std::string_view part) {
  for (const std::string& word : command) {
    if (word.find(part) != std::string::npos && word.find(' ') == std::string::npos) return word;
  }
  return {};
}

std::string https_hint(const std::vector<std::string>& command) {
  const std::string url = find_word(command, "https://");
  return "An https:// URL goes past http_proxy: write http://, penstock speaks TLS to the "
         "upstream" +
         (url.empty() ? "." : " (the command has " + url + ").");
}

std::string local_hint(const std::vector<std::string>& command) {
  for (const std::string_view host : {"localhost", "127.0.0.1", "[::1]"}) {
    const std::string url = find_word(command, "//" + std::string(host));
    if (!url.empty())
      return "Many clients, Go for one, never send requests for localhost to a proxy (the command "
             "has " +
             url + ").";
  }
  return "Many clients, Go for one, never send requests for localhost or 127.0.0.1 to a proxy.";
}

void add_hints_of_silence(const DoctorFindings& findings, std::vector<std::string>& hints) {
  std::string of_program = program_hint(findings.command);
  hints.push_back(of_program.empty()
                      ? "The client may not read http_proxy: look for a proxy setting of its own."
                      : std::move(of_program));
  hints.push_back(https_hint(findings.command));
  hints.push_back(local_hint(findings.command));
  if (!findings.no_proxy.empty())
    hints.push_back("Hosts in no_proxy go past the proxy; it is set to " + findings.no_proxy + '.');
  hints.push_back(
      "A command that clears its environment (sudo, a service manager) or asks a daemon to do the "
      "work does not see "
      "the variable.");
}

std::string connect_hint(const Sighting& sighting) {
  std::string host = host_of(sighting);
  const bool to_http_port = host.ends_with(":80");
  if (host.ends_with(":443") || to_http_port) host.resize(host.rfind(':'));
  const std::string what =
      (host == "-" ? "A request" : host) + " came as a CONNECT tunnel: it cannot be pooled. ";
  if (to_http_port)
    return what +
           "The client tunnels http:// URLs too; tell it not to (proxyTunnel: false of undici's "
           "ProxyAgent).";
  return what + "Write http://" + (host == "-" ? "HOST" : host) +
         "/ instead of https://: penstock speaks TLS itself.";
}

std::string origin_hint(const Sighting& sighting) {
  return "A request for " + sighting.target +
         " came in origin form: the client has the proxy as its base URL. Give it as "
         "http_proxy, or use a listener with `upstream:`.";
}

std::string error_hint(const Sighting& sighting) {
  const std::string_view limit = sighting.value("error_limit");
  return sighting.method + ' ' + sighting.target + " failed with " +
         std::string(sighting.value("error")) +
         (limit.empty() ? std::string() : ", limit " + std::string(limit)) +
         ": the body of the answer says more.";
}

std::string first_hint_of(const Sighting& sighting) {
  if (!sighting.is_http()) {
    return "Something that is no HTTP was sent to the proxy (see the log below): the proxy's own "
           "URL is http://, never https:// or socks://.";
  }
  if (sighting.is_connect()) return connect_hint(sighting);
  if (sighting.is_unwrapped() && sighting.value("error").empty()) {
    return "The client tunnels http:// URLs (CONNECT to port 80): penstock looks inside and pools "
           "them. "
           "proxyTunnel: false of undici's ProxyAgent saves the detour.";
  }
  if (sighting.value("status_source") == "proxy" && sighting.value("form") == "origin")
    return origin_hint(sighting);
  return sighting.value("error").empty() ? std::string() : error_hint(sighting);
}

// Why a host that was asked several times reused nothing.
void add_hints_of_reuse(const std::vector<Sighting>& sightings, std::vector<std::string>& hints) {
  std::map<std::string, std::vector<const Sighting*>> by_host;
  for (const Sighting& sighting : sightings) {
    if (sighting.had_connection() && !sighting.is_connect())
      by_host[host_of(sighting)].push_back(&sighting);
  }
  for (const auto& [host, all] : by_host) {
    const bool any_reused =
        std::any_of(all.begin(), all.end(), [](const Sighting* one) { return one->reused(); });
    if (any_reused || all.size() < 2) continue;
    const std::string_view reason = all.front()->value("close_reason");
    hints.push_back("No connection to " + host + " was reused: " +
                    (reason.empty() ? "its requests were under way at the same time."
                     : reason == "server_close"
                         ? "the server closes after each response; its keep-alive is off."
                         : "they were closed (" + std::string(reason) + ")."));
  }
}

void add_hint_of_client_connections(const std::vector<Sighting>& sightings,
                                    std::vector<std::string>& hints) {
  std::set<std::string_view> clients;
  for (const Sighting& sighting : sightings) clients.insert(sighting.value("client"));
  if (sightings.size() < 2 || clients.size() < sightings.size()) return;
  hints.push_back(
      "The command opens a connection to the proxy for each request (no keep-alive). That is cheap "
      "on loopback: the "
      "connections to the upstream are kept all the same.");
}

std::vector<std::string> hints_of(const DoctorFindings& findings,
                                  const std::vector<Sighting>& sightings) {
  std::vector<std::string> hints;
  if (sightings.empty()) add_hints_of_silence(findings, hints);
  for (const Sighting& sighting : sightings) {
    std::string hint = first_hint_of(sighting);
    if (!hint.empty() && std::find(hints.begin(), hints.end(), hint) == hints.end())
      hints.push_back(std::move(hint));
  }
  add_hints_of_reuse(sightings, hints);
  add_hint_of_client_connections(sightings, hints);
  return hints;
}

}  // namespace

std::string doctor_report(const DoctorFindings& findings) {
  std::vector<Sighting> sightings = read_log(findings.access_log);
  drop_opened_tunnels(sightings);
  const std::string program =
      findings.command.empty() ? "the command" : base_name(findings.command.front());
  std::string text = "penstock doctor: " + program + " ended with " + findings.ending + "; ";
  text += sightings.empty() ? "nothing came to the proxy\n"
                            : summary_of(sightings) + table_of(sightings);
  for (const std::string& hint : hints_of(findings, sightings)) text += "hint: " + hint + '\n';
  if (!findings.daemon_log.empty()) text += "log of the instance:\n" + findings.daemon_log;
  return text;
}

}  // namespace penstock
