// What a reload tells: in lines, in JSON, and as `penstock reload` reads it.
#include "server/reload_report.h"

#include <gtest/gtest.h>

#include "server/reload_command.h"

namespace penstock {
namespace {

ReloadReport applied() {
  ReloadReport report;
  report.revision = 2;
  report.changes.listeners = {{"127.0.0.1:1", ListenerFate::kAdded}};
  report.changes.upstreams = {
      {.name = "kept", .fate = UpstreamFate::kKept, .keys = {}},
      {.name = "fewer", .fate = UpstreamFate::kChanged, .keys = {"pool.max_connections"}},
      {.name = "moved", .fate = UpstreamFate::kRetired, .keys = {"connect_to"}},
      {.name = "gone", .fate = UpstreamFate::kRemoved, .keys = {}}};
  report.changes.restart_keys = {"workers"};
  report.connections["kept"] = {.trimmed = 0, .retired = 0, .open = 5};
  report.connections["fewer"] = {.trimmed = 3, .retired = 0, .open = 1};
  report.connections["moved"] = {.trimmed = 0, .retired = 2, .open = 1};
  return report;
}

const std::vector<std::string> kLines = {
    "listener 127.0.0.1:1: added",
    "upstream kept: kept; connections: 5 kept",
    "upstream fewer: changed, its connections stay (pool.max_connections); connections: 3 trimmed, "
    "1 kept",
    "upstream moved: dialled otherwise from now on, its idle connections are closed (connect_to); "
    "connections: 2 retired, 1 open until they come free",
    "upstream gone: removed",
    "changed, applied only by a restart: workers"};

TEST(ReloadReport, HasALineForEachChange) { EXPECT_EQ(applied().lines(), kLines); }

TEST(ReloadReport, IsReadByTheCommandAsItIsLogged) {
  const auto answer = parse_reload(applied().to_json());
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->revision, 2U);
  EXPECT_EQ(answer->lines, kLines);
}

TEST(ReloadReport, NamesFateKeysAndCountsInJson) {
  EXPECT_NE(applied().to_json().find(
                R"({"upstream":"fewer","fate":"changed","keys":["pool.max_connections"],)"
                R"("retired":0,"trimmed":3,"open":1,"text":")"),
            std::string::npos)
      << applied().to_json();
}

TEST(ReloadReport, OfARefusedFileHasItsFaults) {
  ReloadReport report;
  report.revision = 1;
  report.refuse("2 faults in p.yaml", {"p.yaml:1:1: a \"b\"", "p.yaml:2:1: c"});
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.to_json(), R"({"revision":1,"error":"2 faults in p.yaml",)"
                              R"("faults":["p.yaml:1:1: a \"b\"","p.yaml:2:1: c"]})"
                              "\n");
  const auto answer = parse_reload(report.to_json());
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->lines, report.faults);
}

TEST(ReloadReport, IsNotReadFromWhatAnotherServerSays) {
  for (const std::string body :
       {"", "<html>", "[]", "{}", R"({"revision":"x"})", R"({"revision":1,"changes":[{}]})",
        R"({"revision":1,"faults":[1]})"})
    EXPECT_FALSE(parse_reload(body)) << body;
}

}  // namespace
}  // namespace penstock
