// Keys that do not exist, or stand where they cannot; nodes of the wrong kind.
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

TEST(Faults, OfStructureStandAtTheDashOfAnItemThatIsMissing) {
  const std::string map = ": has no value (a map of keys)";
  const std::string host = ": has no value (a list of host, host:port, \"*.suffix\" or \"*\")";
  const std::vector<FaultCase> cases = {
      {"upstreams:\n - \n - name: a\n   hosts: [x]\n", {"2:2: upstreams[0]" + map}},
      {"upstreams:\n- # c\n\n  # - d\n- name: a\n  hosts: [x]\n", {"2:1: upstreams[0]" + map}},
      {"upstreams:\r\n- name: a\r\n  hosts: [x]\r\n-\r\n", {"4:1: upstreams[1]" + map}},
      {"upstreams: &a\n  -\n  - name: a\n    hosts: [x]\n", {"2:3: upstreams[0]" + map}},
      {"upstreams:\n- name: a\n  hosts:\n  - x\n  -\nworkers: 1\n",
       {"5:3: upstreams[0].hosts[1]" + host}},
      {"upstreams:\n- name: a\n  hosts:\n  - x\n  - ~\n", {"5:5: upstreams[0].hosts[1]" + host}},
  };
  expect_faults(cases);
}

TEST(Faults, OfStructureNameTheKeyMeant) {
  const std::vector<FaultCase> cases = {
      {"listen: 1\n",
       {"1:1: listen: unknown key (listeners, defaults, upstreams, admin, workers, client, "
        "process, dns, egress, "
        "log, access_log, shutdown, reload)"}},
      {"listener: []\n", {"1:1: listener: unknown key; did you mean listeners?"}},
      {"Listeners: []\n", {"1:1: Listeners: unknown key; did you mean listeners?"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    routed: false\n",
       {"4:5: upstreams[0].routed: not supported in this version"}},
      {"defaults:\n  protocol: h2\n", {"2:3: defaults.protocol: not supported in this version"}},
      {"defaults:\n  compression: gzip\n",
       {"2:3: defaults.compression: not supported in this version"}},
      {"defaults:\n  parent_proxy: {no_proxy: [a]}\n",
       {"2:3: defaults.parent_proxy: not supported in this version"}},
      {"defaults:\n  tls: {pins: []}\n", {"2:9: defaults.tls.pins: not supported in this version"}},
      {"client:\n  header_timeuot: 1s\n",
       {"2:3: client.header_timeuot: unknown key; did you mean header_timeout?"}},
      {"client:\n  headerTimeout: 1s\n",
       {"2:3: client.headerTimeout: unknown key; did you mean header_timeout?"}},
      {"client:\n  header-timeout: 1s\n",
       {"2:3: client.header-timeout: unknown key; did you mean header_timeout?"}},
      {"client:\n  timeout: 1s\n",
       {"2:3: client.timeout: unknown key (max_connections, max_header_size, max_header_fields, "
        "header_timeout, body_stall, write_stall, idle_timeout, half_close, deadline_header)"}},
      {"defaults:\n  pool: {max_connection: 5}\n",
       {"2:10: defaults.pool.max_connection: unknown key; did you mean max_connections?"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    max_connections: 5\n",
       {"4:5: upstreams[0].max_connections: unknown key; did you mean pool.max_connections?"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    hsots: [b]\n",
       {"4:5: upstreams[0].hsots: unknown key; did you mean hosts?"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    timeout: {total: 1s}\n",
       {"4:5: upstreams[0].timeout: unknown key; did you mean timeouts?"}},
      {"timeouts: {total: 1s}\n", {"1:1: timeouts: unknown key; did you mean defaults.timeouts?"}},
      {"max_idle: 5\n", {"1:1: max_idle: unknown key; did you mean defaults.pool.max_idle?"}},
      {"scheme: http\n", {"1:1: scheme: unknown key; did you mean defaults.scheme?"}},
      {"defaults:\n  name: x\n",
       {"2:3: defaults.name: unknown key (scheme, connect_to, source_address, redirects, cookies, "
        "via, pool, "
        "timeouts, "
        "retry, drain, max_response_header_size, tls)"}},
      {"listeners: [{adress: 127.0.0.1:1}]\n",
       {"1:14: listeners[0].adress: unknown key; did you mean address?"}},
      {"listeners: [{address: 127.0.0.1:1, port: 5}]\n",
       {"1:36: listeners[0].port: unknown key (address, mode, owner, allow_uids, allow_clients, "
        "upstream, upstreams, allow_browsers)"}},
      {"defaults:\n  tls: {cafile: x}\n",
       {"2:9: defaults.tls.cafile: unknown key; did you mean ca_file?"}},
      {"frobnicate: 1\n",
       {"1:1: frobnicate: unknown key (listeners, defaults, upstreams, admin, workers, client, "
        "process, dns, egress, "
        "log, access_log, shutdown, reload)"}},
      {"client:\n  header_timeout: 1s\n  header_timeout: 2s\n",
       {"3:3: client.header_timeout: written twice (first in line 2)"}},
      {"log: {level: info}\nlog: {level: debug}\n", {"2:1: log: written twice (first in line 1)"}},
      {"listeners: [{address: 127.0.0.1:1, address: 127.0.0.1:2}]\n",
       {"1:36: listeners[0].address: written twice (first in line 1)"}},
      {"upstreams: []\nupstreams: []\n",
       {"1:12: upstreams: is an empty list (at least one, or leave the key out)",
        "2:1: upstreams: written twice (first in line 1)"}},
      {"x: &x {via: off}\ndefaults:\n  <<: *x\n",
       {"1:1: x: unknown key (listeners, defaults, upstreams, admin, workers, client, process, "
        "dns, egress, log, "
        "access_log, shutdown, reload)",
        "3:3: defaults.<<: merge keys are not taken (`defaults` is what all upstreams share)"}},
      {"defaults: {<<: {via: off}}\n",
       {"1:12: defaults.<<: merge keys are not taken (`defaults` is what all upstreams share)"}},
      {"? [a]\n: 1\n", {"1:3: a key that is no word (one of the keys of penstock)"}},
      {"{}: 1\n", {"1:1: a key that is no word (one of the keys of penstock)"}},
      {": 1\n", {"1:1: a key that is no word (one of the keys of penstock)"}},
      {"client: 5\n", {"1:9: client: \"5\" is a single value (a map of keys)"}},
      {"client: [header_timeout]\n", {"1:9: client: is a list (a map of keys)"}},
      {"defaults: off\n", {"1:11: defaults: \"off\" is a single value (a map of keys)"}},
      {"defaults: [a]\n", {"1:11: defaults: is a list (a map of keys)"}},
      {"listeners: {address: 127.0.0.1:1}\n", {"1:12: listeners: is a map (a list)"}},
      {"listeners: []\n",
       {"1:12: listeners: is an empty list (at least one, or leave the key out)"}},
      {"listeners: 127.0.0.1:1\n", {"1:12: listeners: \"127.0.0.1:1\" is a single value (a list)"}},
      {"listeners: [127.0.0.1:1]\n",
       {"1:13: listeners[0]: \"127.0.0.1:1\" is a single value (a map of keys)"}},
      {"listeners:\n  - \n", {"2:3: listeners[0]: has no value (a map of keys)"}},
      {"upstreams: []\n",
       {"1:12: upstreams: is an empty list (at least one, or leave the key out)"}},
      {"upstreams: {a: b}\n", {"1:12: upstreams: is a map (a list)"}},
      {"upstreams: [a]\n", {"1:13: upstreams[0]: \"a\" is a single value (a map of keys)"}},
      {"upstreams:\n  - hosts: [a.example]\n",
       {"2:5: upstreams[0].name: is missing (lower-case letters, digits, - and _, at most 64, "
        "first a letter or digit)"}},
      {"upstreams:\n  - name: a\n",
       {"2:5: upstreams[0].hosts: is missing (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - {}\n",
       {"2:5: upstreams[0].hosts: is missing (a list of host, host:port, \"*.suffix\" or \"*\")",
        "2:5: upstreams[0].name: is missing (lower-case letters, digits, - and _, at most 64, "
        "first a letter or digit)"}},
      {"- a\n", {"1:1: is a list (a map of keys, with a space after each colon)"}},
      {"penstock\n",
       {"1:1: \"penstock\" is a single value (a map of keys, with a space after each colon)"}},
      {"client:header_timeout\n",
       {"1:1: \"client:header_timeout\" is a single value (a map of keys, with a space after each "
        "colon)"}},
      {"log: {level:info}\n", {"1:7: log.level:info: unknown key; a space goes after the colon"}},
      {"a: 1\n---\nb: 2\n", {"2:1: what stands here is outside of the map that the file is"}},
      {"- a\nb: 1\n", {"2:1: what stands here is outside of the map that the file is"}},
      {"client: !!map {}\nlog: !x {level: info}\n", {"2:6: YAML tags are not taken"}},
      {"log: {level: !secret info}\n", {"1:14: YAML tags are not taken"}},
      {"log: &l {level: *l}\n", {"1:17: an alias stands inside of what it repeats"}},
  };
  expect_faults(cases);
}

}  // namespace
}  // namespace penstock
