// Files that are no YAML, or none that we take.
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

TEST(Faults, OfSyntaxAreToldOfNestingThatIsTooDeep) {
  const std::string text = "workers: " + std::string(600, '[') + std::string(600, ']') + '\n';
  const std::vector<FaultCase> cases = {
      {text, {"1:507: is nested too deeply here (less than 500 levels)"}}};
  expect_faults(cases);
}

TEST(Faults, OfSyntaxAreSaidInWords) {
  const std::vector<FaultCase> cases = {
      {"upstreams:\n  - name: a\n    hosts: [*.x.com]\n",
       {"3:13: a bare * makes an alias in YAML; quote it: \"*.x.com\""}},
      {"upstreams:\n  - name: a\n    hosts: [a.example, *.x.com]\n",
       {"3:24: a bare * makes an alias in YAML; quote it: \"*.x.com\""}},
      {"upstreams:\n  - name: a\n    hosts:\n      - *\n",
       {"4:10: a bare * makes an alias in YAML; quote it: \"*\""}},
      {"upstreams:\n  - name: a\n    hosts: *.x.com # all\n",
       {"3:12: a bare * makes an alias in YAML; quote it: \"*.x.com\""}},
      {"upstreams:\n  - name: a\n    hosts: [*, a]\n",
       {"3:14: a bare * makes an alias in YAML; quote it: \"*\""}},
      {"log:\n\tlevel: info\n", {"2:7: a tab indents this line; YAML wants spaces"}},
      {"log:\n  level: info\n\tformat: text\n",
       {"3:1: a tab indents this line; YAML wants spaces"}},
      {"log: {level: info\n",
       {"1:6: this { is never closed, or a comma is missing after one of its values"}},
      {"dns: {servers: [1.1.1.1}\n", {"1:24: this bracket closes nothing that is open"}},
      {"dns:\n  servers: [1.1.1.1\nlog: {level: info}\n",
       {"2:12: this [ is never closed, or a comma is missing after one of its items"}},
      {"log: {level: info]\n", {"1:18: this bracket closes nothing that is open"}},
      {"log:\n  level: \"info\n", {"2:10: a quote is opened and never closed"}},
      {"log:\n  level: 'info\n", {"2:10: a quote is opened and never closed"}},
      {"log:\n  level: info\n   format: text\n",
       {"3:10: a value cannot hold `: ` unless it is quoted; or the indentation of this line is "
        "wrong"}},
      {"log:\n  level: info\n format: text\n",
       {"3:2: the indentation of this line fits none of the lines above, or it is no `key: "
        "value`"}},
      {"access_log: path: /x\n",
       {"1:17: a value cannot hold `: ` unless it is quoted; or the indentation of this line is "
        "wrong"}},
      {"log: @info\n", {"1:6: a value cannot start with @; quote it: \"@info\""}},
      {"log: `info`\n", {"1:6: a value cannot start with `; quote it: \"`info`\""}},
      {"log: %info\n", {"1:6: a value cannot start with %; quote it: \"%info\""}},
      {"dns: - servers\n", {"1:6: a list item (`- `) cannot stand here; put it on its own line"}},
      {"log: ]\n", {"1:6: this bracket closes nothing that is open"}},
      {"log: > x\n", {"1:8: a value cannot start with > or | unless it is quoted"}},
      {"log: \"a\\qb\"\n",
       {"1:10: unknown escape after \\; use single quotes, in which \\ is just a character"}},
      {"log: &\n", {"1:7: & makes an anchor in YAML; quote the value"}},
      {"log: &a &b x\n", {"1:9: not valid YAML: cannot assign multiple anchors to the same node"}},
      {"log: {level: info}}\n", {"1:19: this bracket closes nothing that is open"}},
      {"%YAML 3.0\n---\nlog: {}\n", {"1:1: not valid YAML: YAML major version too large"}},
      {"log: \"\\ud800\"\n", {"1:13: not valid YAML: invalid unicode: 55296"}},
      {"dns:\n  servers:\n  - 1.1.1.1\n  attempts: 2\n - x\n",
       {"5:2: the indentation of this line fits none of the lines above, or it is no `key: "
        "value`"}},
      {"log: !<x {}\n", {"1:9: not valid YAML: end of verbatim tag not found"}},
      {"log: {level: \001}\n", {"1:14: a control character: \"\\x01\""}},
      {"log: {level: \177}\n", {"1:14: a control character: \"\\x7f\""}},
      {"log: {level: &q \"info\n", {"1:14: a quote is opened and never closed"}},
      {"log:\n  level: 'it''s\n", {"2:10: a quote is opened and never closed"}},
  };
  expect_faults(cases);
}

}  // namespace
}  // namespace penstock
