// Settings that contradict one another.
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

// Our IPv6 sockets take no IPv4, and where ".." leads is the file system's to say.
TEST(Faults, OfRelationsAreNotAddressesThatOnlyLookAlike) {
  for (const char* text :
       {"listeners: [{address: '0.0.0.0:1', allow_clients: [any]}, {address: '[::]:1', "
        "allow_clients: [any]}, {address: '127.0.0.1:2'}]\n",
        "listeners: [{address: 'unix:/run/a/../b.sock'}, {address: 'unix:/run/b.sock'}]\n",
        "listeners: [{address: 'systemd:a'}, {address: 'systemd:b'}]\n"}) {
    EXPECT_TRUE(load_text("test", text).ok()) << text;
  }
}

TEST(Faults, OfRelationsStandWhereTheFileSaysThem) {
  const std::vector<FaultCase> cases = {
      {"listeners: [{address: 127.0.0.1:1}, {address: 127.0.0.1:1}]\n",
       {"1:47: listeners[1].address: \"127.0.0.1:1\" is the address of listeners[0].address "
        "already"}},
      {"listeners: [{address: 127.0.0.1:1}, {address: localhost:1}]\n",
       {"1:47: listeners[1].address: \"127.0.0.1:1\" is the address of listeners[0].address "
        "already"}},
      {"listeners: [{address: '[::1]:1'}, {address: '[0:0::1]:1'}]\n",
       {"1:45: listeners[1].address: \"[::1]:1\" is the address of listeners[0].address already"}},
      {"listeners: [{address: '127.0.0.1:1'}, {address: 0.0.0.0:1, allow_clients: [any]}]\n",
       {"1:49: listeners[1].address: \"0.0.0.0:1\" takes every address of its port, also "
        "\"127.0.0.1:1\" of listeners[0].address"}},
      {"listeners: [{address: '[::]:1', allow_clients: [any]}, {address: '[::1]:1'}]\n",
       {"1:66: listeners[1].address: \"[::1]:1\" is taken already by \"[::]:1\" of "
        "listeners[0].address, which takes every address of its port"}},
      {"admin: {address: '127.0.0.1:1', public_address: '0.0.0.0:1'}\n",
       {"1:49: admin.public_address: \"0.0.0.0:1\" takes every address of its port, also "
        "\"127.0.0.1:1\" of admin.address"}},
      {"listeners: [{address: '0.0.0.0:9128', allow_clients: [any]}]\n",
       {"1:23: listeners[0].address: \"0.0.0.0:9128\" takes every address of its port, also "
        "\"127.0.0.1:9128\" of admin.address"}},
      {"listeners: [{address: 'unix:/run/a.sock'}, {address: 'unix:/run//./a.sock'}]\n",
       {"1:54: listeners[1].address: \"unix:/run//./a.sock\" is the address of "
        "listeners[0].address already"}},
      {"listeners: [{}, {}]\n",
       {"1:17: listeners[1].address: \"127.0.0.1:3128\" is the address of listeners[0].address "
        "already"}},
      {"listeners: [{address: 127.0.0.1:9128}]\n",
       {"1:23: listeners[0].address: \"127.0.0.1:9128\" is the address of admin.address already"}},
      {"admin: {address: 127.0.0.1:3128}\n",
       {"1:18: admin.address: \"127.0.0.1:3128\" is the address of listeners[0].address already"}},
      {"admin: {public_address: 127.0.0.1:3128}\n",
       {"1:25: admin.public_address: \"127.0.0.1:3128\" is the address of listeners[0].address "
        "already"}},
      {"admin: {public_address: 127.0.0.1:9128}\n",
       {"1:25: admin.public_address: \"127.0.0.1:9128\" is the address of admin.address already"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n  - name: a\n    hosts: [b.example]\n",
       {"4:11: upstreams[1].name: \"a\" is the name of upstreams[0] already"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n  - name: b\n    hosts: [A.Example.]\n",
       {"5:13: upstreams[1].hosts[0]: \"a.example\" is claimed by upstreams[0].hosts[0] already"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n  - name: b\n    hosts: [b.example, "
       "a.example]\n",
       {"5:24: upstreams[1].hosts[1]: \"a.example\" is claimed by upstreams[0].hosts[0] already"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example, a.example]\n",
       {"3:24: upstreams[0].hosts[1]: \"a.example\" is claimed by upstreams[0].hosts[0] already"}},
      {"upstreams:\n  - name: a\n    hosts: [\"*\"]\n  - name: b\n    hosts: [\"*\"]\n",
       {"5:13: upstreams[1].hosts[0]: \"*\" is claimed by upstreams[0].hosts[0] already"}},
      {"upstreams:\n  - name: a\n    hosts: ['[::1]', '[0::1]']\n",
       {"3:22: upstreams[0].hosts[1]: \"[::1]\" is claimed by upstreams[0].hosts[0] already"}},
      {"upstreams:\n  - name: a\n    hosts: ['bad host', a.example, a.example]\n",
       {"3:13: upstreams[0].hosts[0]: \"bad host\" is no host[:port]: a character that no host may "
        "have (a list of host, host:port, \"*.suffix\" or \"*\")",
        "3:36: upstreams[0].hosts[2]: \"a.example\" is claimed by upstreams[0].hosts[1] already"}},
      {"listeners: [{upstream: b}]\nupstreams:\n  - name: a\n    hosts: [a.example]\n",
       {"1:24: listeners[0].upstream: no upstream is named \"b\""}},
      {"listeners: [{upstreams: [a, c]}]\nupstreams:\n  - name: a\n    hosts: [a.example]\n",
       {"1:29: listeners[0].upstreams[1]: no upstream is named \"c\""}},
      {"listeners: [{upstream: paymnets}]\nupstreams:\n  - name: payments\n    hosts: "
       "[a.example]\n",
       {"1:24: listeners[0].upstream: no upstream is named \"paymnets\"; did you mean payments?"}},
      {"listeners: [{upstream: a, upstreams: [a]}]\nupstreams:\n  - name: a\n    hosts: "
       "[a.example]\n",
       {"1:38: listeners[0].upstreams: contradicts upstream (base-URL mode sends everything to one "
        "upstream; write one of the two)"}},
      {"listeners: [{upstream: a}]\nupstreams:\n  - name: a\n    hosts: [a.example, b.example]\n",
       {"1:24: listeners[0].upstream: upstream \"a\" does not say where a request without its host "
        "goes (it needs origin, or exactly one exact host)"}},
      {"listeners: [{upstream: a}]\nupstreams:\n  - name: a\n    hosts: ['*.example']\n",
       {"1:24: listeners[0].upstream: upstream \"a\" does not say where a request without its host "
        "goes (it needs origin, or exactly one exact host)"}},
      {"listeners: [{upstream: default}]\n",
       {"1:24: listeners[0].upstream: upstream \"default\" does not say where a request without "
        "its host goes (it needs origin, or exactly one exact host)"}},
      {"listeners: [{upstreams: [bad name]}]\n",
       {"1:26: listeners[0].upstreams[0]: \"bad name\" is not a name (a list of names of "
        "upstreams, or all)"}},
      {"listeners: [{upstreams: []}]\n",
       {"1:25: listeners[0].upstreams: is an empty list (a list of names of upstreams, or all)"}},
      {"defaults:\n  pool: {max_connections: 5, max_idle: 6}\n",
       {"2:40: defaults.pool.max_idle: max_idle is 6, above max_connections, 5 (at most "
        "max_connections)"}},
      {"defaults:\n  pool: {max_connections: 5, max_connecting: 6}\n",
       {"2:46: defaults.pool.max_connecting: max_connecting is 6, above max_connections, 5 (at "
        "most max_connections)"}},
      {"defaults:\n  pool: {max_connecting: 20}\nupstreams:\n  - name: a\n    hosts: [a.example]\n"
       "    pool: {max_connections: 5}\n",
       {"6:29: upstreams[0].pool.max_connections: max_connecting is 20, above max_connections, 5 "
        "(at most max_connections)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    pool: {max_connections: 5, min_idle: "
       "6}\n",
       {"4:42: upstreams[0].pool.min_idle: min_idle is 6, above max_idle, 5 (at most max_idle)"}},
      {"defaults: {pool: {min_idle: 2}}\nupstreams:\n  - name: a\n    hosts: [a.example, "
       "'*.a.example']\n  - name: b\n    hosts: ['*']\n    pool: {min_idle: 0}\n  - name: c\n    "
       "hosts: ['*.c.example']\n    origin: c.example\n",
       {"1:29: defaults.pool.min_idle: upstream \"a\" has hosts that are not known before a "
        "request "
        "names them (it needs origin, exact hosts only, or min_idle: 0)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    pool: {min_idle: 1, reuse: false}\n",
       {"4:22: upstreams[0].pool.min_idle: contradicts reuse: false, which keeps no connection "
        "(min_idle: 0, or reuse: true)"}},
      {"process: {max_idle_connections: 5}\ndefaults: {pool: {min_idle: 2}}\nupstreams:\n  - name: "
       "a\n    hosts: [a.example, b.example]\n  - name: c\n    hosts: ['*.c.example']\n    origin: "
       "c.example\n",
       {"1:33: process.max_idle_connections: process.max_idle_connections is 5, below the 6 "
        "connections that min_idle keeps over all hosts (at least as many)"}},
      {"process: {max_upstream_connections: 1}\nupstreams:\n  - name: a\n    hosts: [a.example]\n"
       "    pool: {min_idle: 2}\n",
       {"1:37: process.max_upstream_connections: process.max_upstream_connections is 1, below the "
        "2 connections that min_idle keeps over all hosts (at least as many)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    pool: {max_connections: 3000, "
       "max_idle: 3000, min_idle: 2001}\n",
       {"4:61: upstreams[0].pool.min_idle: process.max_idle_connections is 2000, below the 2001 "
        "connections that min_idle keeps over all hosts (at least as many)"}},
      {"defaults:\n  pool: {max_idle: 1001}\n",
       {"2:20: defaults.pool.max_idle: max_idle is 1001, above max_connections, 1000 (at most "
        "max_connections)"}},
      {"defaults:\n  pool: {max_idle: 20}\nupstreams:\n  - name: a\n    hosts: [a.example]\n    "
       "pool: {max_connections: 5}\n",
       {"6:29: upstreams[0].pool.max_connections: max_idle is 20, above max_connections, 5 (at "
        "most max_connections)"}},
      {"defaults:\n  pool: {max_connections: 5}\nupstreams:\n  - name: a\n    hosts: [a.example]\n "
       "   pool: {max_idle: 6}\n",
       {"6:22: upstreams[0].pool.max_idle: max_idle is 6, above max_connections, 5 (at most "
        "max_connections)"}},
      {"defaults:\n  pool: {max_connections: 5, max_idle: 9}\nupstreams:\n  - name: a\n    hosts: "
       "[a.example]\n  - name: b\n    hosts: [b.example]\n",
       {"2:40: defaults.pool.max_idle: max_idle is 9, above max_connections, 5 (at most "
        "max_connections)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    tls: {ca_file: /}\n",
       {"4:20: upstreams[0].tls.ca_file: \"/\" is a folder"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    tls: {ca_file: /dev/null}\n",
       {"4:20: upstreams[0].tls.ca_file: \"/dev/null\" is not a regular file"}},
      {"defaults:\n  timeouts: {resolve: 1s}\n",
       {"2:23: defaults.timeouts.resolve: dns.attempts × dns.attempt_timeout is 2s, which cannot "
        "end within timeouts.resolve, 1s (at most timeouts.resolve)"}},
      {"dns: {attempt_timeout: 2s}\n",
       {"1:24: dns.attempt_timeout: dns.attempts × dns.attempt_timeout is 4s, which cannot end "
        "within timeouts.resolve, 3s (at most timeouts.resolve)"}},
      {"dns: {attempts: 4}\n",
       {"1:17: dns.attempts: dns.attempts × dns.attempt_timeout is 4s, which cannot end within "
        "timeouts.resolve, 3s (at most timeouts.resolve)"}},
      {"dns: {attempt_timeout: 2s}\nupstreams:\n  - name: a\n    hosts: [a.example]\n    timeouts: "
       "{resolve: 3.9s}\n",
       {"5:25: upstreams[0].timeouts.resolve: dns.attempts × dns.attempt_timeout is 4s, which "
        "cannot end within timeouts.resolve, 3.9s (at most timeouts.resolve)"}},
      {"dns: {min_ttl: 10m}\n",
       {"1:16: dns.min_ttl: min_ttl is 10m, above max_ttl, 5m (at most max_ttl)"}},
      {"dns: {max_ttl: 500ms}\n",
       {"1:16: dns.max_ttl: min_ttl is 1s, above max_ttl, 500ms (at most max_ttl)"}},
      {"shutdown: {wait_for_clients: 26s}\n",
       {"1:30: shutdown.wait_for_clients: wait_for_clients is 26s, above grace, 25s (at most "
        "grace, "
        "of which it is a part)"}},
      {"shutdown: {grace: 2s, wait_for_clients: 3s}\n",
       {"1:41: shutdown.wait_for_clients: wait_for_clients is 3s, above grace, 2s (at most grace, "
        "of "
        "which it is a part)"}},
      {"client:\n  header_timeout: 0\nlog: {level: loud}\nupstreams:\n  - name: A\n    hosts: [x "
       "y]\n    pool: {max_idle: 5, max_connections: 4, ordr: lifo}\n  - name: b\n    "
       "timeouts: "
       "{totl: 5}\nlisteners: [{address: 1}]\n",
       {"2:19: client.header_timeout: \"0\" would end at once; for no limit write off (1ms to 24h, "
        "or off)",
        "3:14: log.level: \"loud\" is not one of its words (trace, debug, info, warning, error or "
        "off)",
        "5:11: upstreams[0].name: \"A\" is not a name (lower-case letters, digits, - and _, at "
        "most 64, first a letter or digit)",
        "6:13: upstreams[0].hosts[0]: \"x y\" is no host[:port]: a character that no host may have "
        "(a list of host, host:port, \"*.suffix\" or \"*\")",
        "7:22: upstreams[0].pool.max_idle: max_idle is 5, above max_connections, 4 (at most "
        "max_connections)",
        "7:45: upstreams[0].pool.ordr: unknown key; did you mean order?",
        "8:5: upstreams[1].hosts: is missing (a list of host, host:port, \"*.suffix\" or \"*\")",
        "9:16: upstreams[1].timeouts.totl: unknown key; did you mean total?",
        "10:23: listeners[0].address: \"1\" has no address; write 127.0.0.1:1 (an address with "
        "a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
  };
  expect_faults(cases);
}

}  // namespace
}  // namespace penstock
