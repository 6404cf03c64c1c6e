// The files in config/ are what the code makes, load, and say what the daemon does; the manual page
// of the configuration is what the code makes.
// With PENSTOCK_UPDATE_CONFIG set in the environment they are written anew first.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "config/loader.h"
#include "config/manual.h"
#include "config/sample.h"
#include "config/schema.h"
#include "unit/config/settings_text.h"

namespace penstock {
namespace {

const std::filesystem::path kFolder = PENSTOCK_CONFIG_DIR;
const std::filesystem::path kManual = kFolder.parent_path() / "deploy/man/penstock.yaml.5";

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_content(const std::filesystem::path& path, const std::string& made) {
  if (std::getenv("PENSTOCK_UPDATE_CONFIG") != nullptr) {
    std::ofstream(path, std::ios::binary) << made;
  }
  EXPECT_EQ(content(path), made) << path << " (PENSTOCK_UPDATE_CONFIG=1 writes it anew)";
}

// What an operator does who sets every key: the "# " at the start of each line goes.
std::string uncommented(const std::string& text) {
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    out += (line.starts_with("# ") ? line.substr(2) : line) + '\n';
  }
  return out;
}

TEST(OperatorsFiles, AreWhatTheTableOfKeysMakes) {
  expect_content(kFolder / "penstock.yaml", sample_yaml());
  expect_content(kFolder / "minimal.yaml", minimal_yaml());
  expect_content(kFolder / "penstock.schema.json", json_schema());
  expect_content(kManual, manual_page());
}

TEST(Manual, SaysOfEachKeyWhatItDoesAndItsDefault) {
  const std::string page = manual_page();
  for (const KeyRow& row : key_rows()) {
    const std::size_t at = page.find(".It Ic " + std::string(row.path) + '\n');
    ASSERT_NE(at, std::string::npos) << row.path;
    std::string entry = page.substr(at, page.find("\n.It", at) - at);
    std::ranges::replace(entry, '\n', ' ');
    EXPECT_NE(entry.find("After a reload: " + std::string(to_string(row.reload))),
              std::string::npos);
    EXPECT_EQ(entry.find("Default:") == std::string::npos, row.required) << row.path;
  }
}

TEST(Manual, HasNoLineThatRoffWouldTakeForARequestOfItsOwn) {
  std::istringstream lines(manual_page());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_FALSE(line.starts_with('\'')) << line;
    EXPECT_LE(line.size(), 100U) << line;
    const bool is_comment = line.starts_with(".\\\"");
    EXPECT_TRUE(!line.starts_with('.') || is_comment || std::isupper(line[1])) << line;
  }
}

TEST(OperatorsFiles, AllLoad) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".yaml") continue;
    ++files;
    const LoadResult result = load_file(entry.path().string());
    for (const auto& line : result.fault_lines()) ADD_FAILURE() << line;
    EXPECT_TRUE(result.ok());
  }
  EXPECT_GE(files, 2);
}

TEST(Sample, ChangesNothingAsShipped) {
  const LoadResult result = load_text("penstock.yaml", sample_yaml());
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  EXPECT_EQ(settings_text(*result.config), settings_text(default_config()));
  EXPECT_EQ(result.config->upstreams[0].policy.timeouts_set, 0U);
  EXPECT_TRUE(result.config->admin.address_is_default);
}

TEST(Sample, ChangesNothingWithEveryKeyUncommented) {
  const LoadResult result = load_text("penstock.yaml", uncommented(sample_yaml()));
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  EXPECT_EQ(settings_text(*result.config), settings_text(default_config()));
  EXPECT_EQ(result.config->upstreams[0].policy.timeouts_set, 0x1FFFU);
  EXPECT_FALSE(result.config->admin.address_is_default);
}

TEST(Sample, NamesEveryKey) {
  const LoadResult result = load_text("penstock.yaml", uncommented(sample_yaml()));
  for (const KeyRow& row : key_rows()) {
    std::string path = full_path(row);
    if (row.scope == KeyScope::kRoute) continue;
    if (stands_in(row.scope, KeyScope::kPolicy)) path = "defaults." + std::string(row.path);
    if (const std::size_t at = path.find("[]"); at != std::string::npos) path.insert(at + 1, "0");
    EXPECT_TRUE(result.sources.has(path)) << path;
  }
}

std::string below_an_upstream(const std::string& yaml) {
  std::istringstream lines(yaml);
  std::string out = "upstreams:\n  - name: a\n    hosts: [a.example]\n";
  for (std::string line; std::getline(lines, line);) out += "    " + line + '\n';
  return out;
}

TEST(Sample, ShowsRoutesThatLoadAndEachOfTheirKeys) {
  const LoadResult result = load_text("p.yaml", below_an_upstream(routes_yaml()));
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  const auto& routes = result.config->upstreams[0].routes;
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].policy.timeouts.response_header, std::chrono::minutes(15));
  EXPECT_EQ(routes[1].policy.retry.attempts, 0U);
  const std::string sample = sample_yaml();
  EXPECT_NE(sample.find("##       - {methods: [POST], path_prefix: /reports"), std::string::npos);
  for (const KeyRow& row : key_rows()) {
    if (row.scope != KeyScope::kRoute) continue;
    EXPECT_NE(sample.find("##     " + std::string(row.path) + ": "), std::string::npos) << row.path;
  }
}

TEST(Sample, ShowsProfilesThatLoad) {
  const LoadResult result = load_text("p.yaml", profiles_yaml());
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  EXPECT_EQ(result.config->upstreams[0].policy.timeouts.total, std::chrono::seconds(60));
  EXPECT_EQ(result.config->upstreams[1].policy.timeouts.body_stall, std::nullopt);
  EXPECT_NE(sample_yaml().find("##     timeouts: {queue: 2s, response_header: 5s"),
            std::string::npos);
}

TEST(Schema, HasEveryKeyWithItsWords) {
  const auto schema = nlohmann::json::parse(json_schema());
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  for (const KeyRow& row : key_rows()) {
    std::string pointer;
    std::istringstream parts(full_path(row));
    for (std::string part; std::getline(parts, part, '.');) {
      const bool list = part.ends_with("[]");
      pointer += "/properties/" + (list ? part.substr(0, part.size() - 2) + "/items" : part);
    }
    const nlohmann::json::json_pointer at(pointer);
    ASSERT_TRUE(schema.contains(at)) << pointer;
    EXPECT_TRUE(schema[at]["description"].get<std::string>().starts_with(row.doc));
  }
}

TEST(Schema, TakesNoOtherKeysAnywhere) {
  const auto schema = nlohmann::json::parse(json_schema());
  int objects = 0;
  const std::function<void(const nlohmann::json&)> visit = [&](const nlohmann::json& node) {
    if (node.is_object() && node.contains("properties")) {
      ++objects;
      EXPECT_EQ(node.value("additionalProperties", true), false);
    }
    if (node.is_structured()) {
      for (const auto& child : node) visit(child);
    }
  };
  visit(schema);
  EXPECT_GE(objects, 27);
  EXPECT_EQ(schema["properties"]["upstreams"]["items"]["required"],
            nlohmann::json::array({"name", "hosts"}));
}

}  // namespace
}  // namespace penstock
