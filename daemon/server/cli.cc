#include "server/cli.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "config/explain.h"
#include "config/loader.h"
#include "config/schema.h"
#include "server/build_info.h"
#include "server/daemon.h"
#include "server/doctor.h"
#include "server/environment.h"
#include "server/probe.h"

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

int run(const std::string& path) {
  LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  return Daemon(path, std::move(loaded)).run();
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

// The admin address of the file: the public one where the full one is off.
int find_admin(const std::string& path, std::string& address) {
  const LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  const AdminSettings& admin = loaded.config->admin;
  address = admin.address.empty() ? admin.public_address : admin.address;
  if (!address.empty()) return kExitOk;
  std::cerr << "penstock probe: admin.address is off in " << loaded.file
            << ": there is nobody to ask\n";
  return kExitFailure;
}

int probe_admin(const std::string& config_path, std::string address, const std::string& path) {
  if (address.empty()) {
    if (const int code = find_admin(config_path, address); code != kExitOk) return code;
  }
  const ProbeResult result = probe(address, path);
  if (result.healthy) return kExitOk;
  std::cerr << "penstock probe: " << path << ": " << result.text
            << (result.text.ends_with('\n') ? "" : "\n");
  return kExitFailure;
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
  std::string url;
  std::string method = "GET";
  bool json = false;
  std::string format = "sh";
  std::string listener;
  std::string admin;
  std::string probe_path = "/readyz";
  std::vector<std::string> command;

  std::string config_path() const { return find_config(config); }
};
using Action = std::function<int()>;

void add_config(CLI::App& command, Arguments& arguments) {
  command.add_option("-c,--config", arguments.config, "The configuration file");
}

CLI::App& add_command(CLI::App& app, const char* name, const char* what, Action& action,
                      Action does) {
  CLI::App& command = *app.add_subcommand(name, what);
  command.callback([&action, does = std::move(does)] { action = does; });
  return command;
}

void add_daemon_commands(CLI::App& app, Arguments& given, Action& action) {
  CLI::App& run_command = add_command(app, "run", "Serve in the foreground (the default)", action,
                                      [&given] { return run(given.config_path()); });
  CLI::App& check_command =
      add_command(app, "check", "Read the configuration and report every fault", action,
                  [&given] { return check(given.config_path()); });
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
  env.add_option("--format", given.format, std::string(kEnvFormats))->capture_default_str();
  env.add_option("--listener", given.listener,
                 "The address of a listener of the file; the first one by default");
  CLI::App& health = add_command(
      app, "probe", "Ask the admin server: exit 0 when the answer is 200, else 1", action,
      [&given] { return probe_admin(given.config_path(), given.admin, given.probe_path); });
  health.add_option("PATH", given.probe_path, "What to ask for")
      ->check(CLI::IsMember({"/readyz", "/livez"}))
      ->capture_default_str();
  health.add_option("--admin", given.admin,
                    "The admin address, instead of that of the configuration");
  CLI::App& doctor_command =
      add_command(app, "doctor",
                  "Run a command behind a private instance; say which of its requests came and how",
                  action, [&given] { return doctor(given.config_path(), given.command); });
  doctor_command.add_option("COMMAND", given.command, "After --, with its arguments")->required();
  for (CLI::App* command : {&env, &health, &doctor_command}) add_config(*command, given);
}

}  // namespace

int run_cli(int argc, char** argv) {
  CLI::App app(
      "A local HTTP forward proxy that pools TLS connections and puts a limit on every phase.",
      "penstock");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(0, 1);
  app.footer(
      "Configuration: -c FILE, else $PENSTOCK_CONFIG, else /etc/penstock/penstock.yaml, else built "
      "in.\n"
      "Exit codes: 0 ok, 1 failure, 64 usage, 69 address in use, 78 configuration.");
  Arguments given;
  Action action = [&given] { return run(given.config_path()); };
  add_config(app, given);
  add_daemon_commands(app, given, action);
  add_helper_commands(app, given, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return action();
}

}  // namespace penstock
