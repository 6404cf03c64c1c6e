#include "server/cli.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

#include "base/standard_output.h"
#include "config/diff.h"
#include "config/explain.h"
#include "config/file.h"
#include "config/loader.h"
#include "config/schema.h"
#include "net/tls_memory.h"
#include "server/build_info.h"
#include "server/daemon.h"
#include "server/doctor.h"
#include "server/environment.h"
#include "server/held_signals.h"
#include "server/pool_console.h"
#include "server/pools_command.h"
#include "server/probe.h"
#include "server/reload_command.h"

namespace penstock {

namespace {

constexpr const char* kSystemConfig = "/etc/penstock/penstock.yaml";

// -c, then $PENSTOCK_CONFIG, then the system's file, then none: the built-in default.
std::string find_config(const std::string& from_option) {
  if (!from_option.empty()) return from_option;
  if (const char* from_environment = std::getenv("PENSTOCK_CONFIG");
      from_environment != nullptr && *from_environment != '\0') {
    return from_environment;
  }
  return ::access(kSystemConfig, F_OK) == 0 ? kSystemConfig : "";
}

LoadResult load(const std::string& path) { return path.empty() ? load_default() : load_file(path); }

bool report_faults(const LoadResult& loaded) {
  for (const std::string& line : loaded.fault_lines()) std::cerr << line << '\n';
  return !loaded.ok();
}

int run(const std::string& path, bool takeover) {
  TakeoverOptions options{.path = takeover_path(path), .begin = takeover};
  if (takeover && options.path.empty()) {
    std::cerr
        << "penstock run --takeover: set RUNTIME_DIRECTORY or XDG_RUNTIME_DIR as it is for the "
           "process that runs: it is asked through a socket there\n";
    return kExitUsage;
  }
  HeldSignals held({SIGHUP, SIGUSR1});
  LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  return Daemon(path, std::move(loaded), std::move(options)).run({}, &held);
}

int check(const std::string& path) {
  const LoadResult loaded = load(path);
  for (const std::string& line : loaded.risk_lines()) std::cerr << line << " (warning)\n";
  if (report_faults(loaded)) return kExitConfig;
  TrustStores trust;
  if (auto table = RoutingTable::create(loaded.config, trust, nullptr); !table) {
    std::cerr << loaded.file << ": " << table.error() << '\n';
    return kExitConfig;
  }
  std::cout << loaded.file << ": ok (" << loaded.config->upstreams.size() << " upstreams, "
            << loaded.config->listeners.size() << " listeners)\n";
  return kExitOk;
}

// As diff(1) does: 0 no difference, 1 some.
int check_diff(const std::vector<std::string>& files) {
  const LoadResult before = load_file(files.at(0));
  const LoadResult after = load_file(files.at(1));
  const bool before_is_bad = report_faults(before);
  if (report_faults(after) || before_is_bad) return kExitConfig;
  const std::vector<std::string> lines = explain_diff(*before.config, *after.config);
  for (const std::string& line : lines) std::cout << line << '\n';
  return lines.empty() ? kExitOk : kExitFailure;
}

int explain_url(const std::string& path, const std::string& url, const std::string& method,
                bool json) {
  const LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  const Explanation explanation = explain(loaded, url, method);
  if (!explanation.error.empty()) {
    std::cerr << "penstock explain: " << url << ": " << explanation.error << '\n';
    return kExitUsage;
  }
  std::cout << (json ? explanation.to_json() : explanation.to_text());
  return kExitOk;
}

int print_environment(const std::string& path, const std::string& format_name,
                      const std::string& listener) {
  const auto format = env_format(format_name);
  if (!format) {
    std::cerr << "penstock env: no format " << format_name << " (there are: " << kEnvFormats
              << ")\n";
    return kExitUsage;
  }
  const LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  const auto authority = proxy_authority(*loaded.config, listener);
  if (!authority) {
    std::cerr << "penstock env: " << authority.error() << '\n';
    return kExitUsage;
  }
  std::cout << environment_text(*format, *authority);
  return kExitOk;
}

// Which daemon a command asks.
struct AdminSource {
  std::string address;  // --admin: no file is read
  std::string file;     // "": there is none
  bool file_is_named;   // by -c
};

// The file of a daemon that runs may be in the middle of an edit, gone, or another user's: whoever
// asks the daemon is not kept from it by that.
AdminSettings admin_of_file(std::string_view command, const AdminSource& source) {
  if (source.file.empty()) return {};
  const auto text = read_file(source.file, kMaxConfigBytes, true);
  if (text) return read_admin(*text);
  AdminSettings built_in;
  if (source.file_is_named) {
    std::cerr << "penstock " << command << ": " << source.file << ": " << text.error()
              << "; asking " << built_in.address << '\n';
  }
  return built_in;
}

// `scope`: what has to be served at the address; where that is the public pages, the public one
// will do when the full one is off.
int find_admin(std::string_view command, const AdminSource& source, AdminScope scope,
               std::string& address) {
  address = source.address;
  if (!address.empty()) return kExitOk;
  const AdminSettings admin = admin_of_file(command, source);
  address =
      admin.address.empty() && scope == AdminScope::kPublic ? admin.public_address : admin.address;
  if (!address.empty()) return kExitOk;
  std::cerr << "penstock " << command << ": admin.address is off in " << source.file
            << ": there is nobody to ask"
            << (command == "reload" ? "; send the daemon SIGHUP: systemctl reload, or kill -HUP PID"
                                    : "")
            << '\n';
  return kExitFailure;
}

int probe_admin(const AdminSource& source, const std::string& path) {
  std::string address;
  const int code = find_admin("probe", source, AdminScope::kPublic, address);
  if (code != kExitOk) return code;
  const ProbeResult result = probe(address, path);
  if (result.healthy) return kExitOk;
  std::cerr << "penstock probe: " << path << ": " << result.text
            << (result.text.ends_with('\n') ? "" : "\n");
  return kExitFailure;
}

int pools(const AdminSource& source, const PoolsCommand& command) {
  if (command.action.empty() != command.target.empty()) {
    std::cerr << "penstock pools: after the upstream's name comes what to do: " << kPoolActions
              << '\n';
    return kExitUsage;
  }
  std::string address;
  const int code = find_admin("pools", source, AdminScope::kFull, address);
  if (code != kExitOk) return code;
  return run_pools(address, command);
}

int reload(const AdminSource& source) {
  std::string address;
  const int code = find_admin("reload", source, AdminScope::kFull, address);
  if (code != kExitOk) return code;
  return run_reload(address);
}

int top(const AdminSource& source) {
  std::string address;
  const int code = find_admin("top", source, AdminScope::kFull, address);
  if (code != kExitOk) return code;
  return run_top(address);
}

int doctor(const std::string& path, std::vector<std::string> command) {
  LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  return run_doctor(std::move(loaded), std::move(command));
}

std::string version_text() {
  std::string text = "penstock " + version() + " (";
  bool first = true;
  for (auto [name, value] : build_info()) {
    if (name == "version") continue;
    std::replace(name.begin(), name.end(), '_', '-');  // a metric's label has no hyphen
    text += (first ? "" : ", ") + name + ' ' + value;
    first = false;
  }
  return text + ")";
}

// What the command line said; each command reads its own part.
struct Arguments {
  std::string config;
  bool takeover = false;
  std::string url;
  std::string method = "GET";
  bool json = false;
  std::string format = "sh";
  std::string listener;
  std::vector<std::string> diff;
  std::string admin;
  std::string probe_path = "/readyz";
  PoolsCommand pools;
  std::vector<std::string> command;

  std::string config_path() const { return find_config(config); }
  AdminSource admin_source() const { return {admin, config_path(), !config.empty()}; }
};
using Action = std::function<int()>;

void add_config(CLI::App& command, Arguments& arguments) {
  command.add_option("-c,--config", arguments.config, "The configuration file");
}

void add_admin(CLI::App& command, Arguments& arguments) {
  command.add_option("--admin", arguments.admin,
                     "The admin address (host:port or unix:/path), instead of the configuration's");
}

CLI::App& add_command(CLI::App& app, const char* name, const char* what, Action& action,
                      Action does) {
  CLI::App& command = *app.add_subcommand(name, what);
  command.callback([&action, does = std::move(does)] { action = does; });
  return command;
}

void add_daemon_commands(CLI::App& app, Arguments& given, Action& action) {
  CLI::App& run_command =
      add_command(app, "run", "Serve in the foreground (the default)", action,
                  [&given] { return run(given.config_path(), given.takeover); });
  run_command.add_flag("--takeover", given.takeover,
                       "Take the listening sockets of the process that runs with this "
                       "configuration; it drains once this one serves");
  CLI::App& check_command =
      add_command(app, "check", "Read the configuration and report every fault", action, [&given] {
        return given.diff.empty() ? check(given.config_path()) : check_diff(given.diff);
      });
  check_command
      .add_option("--diff", given.diff,
                  "OLD NEW: what a reload from one file to the other would change; exit 0 when "
                  "nothing, 1 when something, 78 when one of them is refused")
      ->expected(2);
  CLI::App& explain_command = add_command(
      app, "explain", "Say what would happen to a URL, and which line of the file says so", action,
      [&given] { return explain_url(given.config_path(), given.url, given.method, given.json); });
  explain_command.add_option("URL", given.url, "For example http://api.example/v1")->required();
  explain_command.add_option("--method", given.method, "The request's method, for routes")
      ->capture_default_str();
  explain_command.add_flag("--json", given.json, "As JSON");
  for (CLI::App* command : {&run_command, &check_command, &explain_command})
    add_config(*command, given);
  add_command(app, "schema", "Print the JSON Schema of the configuration", action, [] {
    std::cout << json_schema();
    return static_cast<int>(kExitOk);
  });
}

void add_helper_commands(CLI::App& app, Arguments& given, Action& action) {
  CLI::App& env = add_command(
      app, "env", "Print what makes programs use the proxy: eval \"$(penstock env)\"", action,
      [&given] { return print_environment(given.config_path(), given.format, given.listener); });
  env.add_option("--format", given.format, "What the variables are written for")
      ->type_name("TEXT:{" + std::string(kEnvFormats) + '}')
      ->capture_default_str();
  env.add_option("--listener", given.listener,
                 "The address of a listener of the file; the first TCP one by default");
  CLI::App& health =
      add_command(app, "probe", "Ask the admin server: exit 0 when the answer is 200, else 1",
                  action, [&given] { return probe_admin(given.admin_source(), given.probe_path); });
  health.add_option("PATH", given.probe_path, "What to ask for")
      ->check(CLI::IsMember({"/readyz", "/livez"}))
      ->capture_default_str();
  add_admin(health, given);
  CLI::App& doctor_command =
      add_command(app, "doctor",
                  "Run a command behind a private instance; say which of its requests came and how",
                  action, [&given] { return doctor(given.config_path(), given.command); });
  doctor_command.add_option("COMMAND", given.command, "After --, with its arguments")->required();
  for (CLI::App* command : {&env, &health, &doctor_command}) add_config(*command, given);
}

void add_pool_commands(CLI::App& app, Arguments& given, Action& action) {
  CLI::App& pools_command = add_command(
      app, "pools", "Print what the running daemon's pools hold, or do something to one", action,
      [&given] { return pools(given.admin_source(), given.pools); });
  pools_command.add_option("NAME", given.pools.target, "The upstream to do something to");
  pools_command
      .add_option("ACTION", given.pools.action,
                  "pause: its requests wait, up to timeouts.queue; resume: they are served; "
                  "reconnect: every connection closes as it comes free; close-idle: what is idle "
                  "closes now")
      ->check(CLI::IsMember({"close-idle", "pause", "resume", "reconnect"}));
  pools_command.add_option("--upstream", given.pools.upstream, "Only the hosts of this one");
  pools_command.add_flag("--json", given.pools.json, "/pools as it is served");
  pools_command.footer(
      "penstock pools                  a line per host: connections by state, waiting, reuse\n"
      "penstock pools payments pause   and, when the upstream is back: penstock pools payments "
      "resume\n"
      "The answer comes when every worker has done it; the daemon's log has a line of it.");
  CLI::App& reload_command = add_command(
      app, "reload", "Have the running daemon read its file again; print what that changed", action,
      [&given] { return reload(given.admin_source()); });
  CLI::App& top_command =
      add_command(app, "top", "Show the pools on a terminal, anew each second; q leaves", action,
                  [&given] { return top(given.admin_source()); });
  for (CLI::App* command : {&pools_command, &reload_command, &top_command}) {
    add_config(*command, given);
    add_admin(*command, given);
  }
}

int run_command_line(int argc, char** argv) {
  keep_tls_memory();
  CLI::App app(
      "A local HTTP forward proxy that pools TLS connections and puts a limit on every phase.",
      "penstock");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(0, 1);
  app.footer(
      "Configuration: -c FILE, else $PENSTOCK_CONFIG, else /etc/penstock/penstock.yaml, else built "
      "in.\n"
      "Exit codes: 0 ok, 1 failure, 64 usage, 69 address in use, 74 standard output cannot be "
      "written, 78 configuration.");
  Arguments given;
  Action action = [&given] { return run(given.config_path(), false); };
  add_config(app, given);
  add_daemon_commands(app, given, action);
  add_helper_commands(app, given, action);
  add_pool_commands(app, given, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return action();
}

}  // namespace

int run_cli(int argc, char** argv) {
  StandardOutput output;
  const int code = run_command_line(argc, argv);
  const int sys = output.finish();
  if (sys == 0) return code;
  std::cerr << "penstock: cannot write to standard output: " << std::generic_category().message(sys)
            << '\n';
  return kExitOutput;
}

}  // namespace penstock
