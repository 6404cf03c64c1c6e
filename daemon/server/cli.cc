#include "server/cli.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <string>

#include "config/explain.h"
#include "config/loader.h"
#include "config/schema.h"
#include "server/build_info.h"
#include "server/daemon.h"

namespace penstock {

namespace {

constexpr const char* kSystemConfig = "/etc/penstock/penstock.yaml";

// -c, then $PENSTOCK_CONFIG, then the system's file, then none: the built-in default.
std::string find_config(const std::string& from_option) {
  if (!from_option.empty()) return from_option;
  if (const char* from_environment = std::getenv("PENSTOCK_CONFIG"); from_environment != nullptr && *from_environment != '\0') {
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
  std::cout << loaded.file << ": ok (" << loaded.config->upstreams.size() << " upstreams, " << loaded.config->listeners.size()
            << " listeners)\n";
  return kExitOk;
}

int explain_url(const std::string& path, const std::string& url, bool json) {
  const LoadResult loaded = load(path);
  if (report_faults(loaded)) return kExitConfig;
  const Explanation explanation = explain(loaded, url);
  if (!explanation.error.empty()) {
    std::cerr << "penstock explain: " << url << ": " << explanation.error << '\n';
    return kExitUsage;
  }
  std::cout << (json ? explanation.to_json() : explanation.to_text());
  return kExitOk;
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

}  // namespace

int run_cli(int argc, char** argv) {
  CLI::App app("A local HTTP forward proxy that pools TLS connections and puts a limit on every phase.", "penstock");
  app.set_version_flag("--version", version_text());
  app.require_subcommand(0, 1);
  app.footer("Configuration: -c FILE, else $PENSTOCK_CONFIG, else /etc/penstock/penstock.yaml, else built in.\n"
             "Exit codes: 0 ok, 1 failure, 64 usage, 69 address in use, 78 configuration.");
  std::string option;
  std::string url;
  bool json = false;
  const auto add_config = [&option](CLI::App& command) { command.add_option("-c,--config", option, "The configuration file"); };
  add_config(app);
  CLI::App& run_command = *app.add_subcommand("run", "Serve in the foreground (the default)");
  CLI::App& check_command = *app.add_subcommand("check", "Read the configuration and report every fault");
  CLI::App& explain_command = *app.add_subcommand("explain", "Say what would happen to a URL, and which line of the file says so");
  CLI::App& schema_command = *app.add_subcommand("schema", "Print the JSON Schema of the configuration");
  for (CLI::App* command : {&run_command, &check_command, &explain_command}) add_config(*command);
  explain_command.add_option("URL", url, "For example http://api.example/v1")->required();
  explain_command.add_flag("--json", json, "As JSON");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const std::string path = find_config(option);
  if (check_command.parsed()) return check(path);
  if (explain_command.parsed()) return explain_url(path, url, json);
  if (schema_command.parsed()) {
    std::cout << json_schema();
    return kExitOk;
  }
  return run(path);
}

}  // namespace penstock
