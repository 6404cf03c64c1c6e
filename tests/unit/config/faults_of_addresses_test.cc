// Names, addresses and patterns that are none.
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

TEST(Faults, OfAddressesSayWhatIsWrongWithThem) {
  const std::vector<FaultCase> cases = {
      {"admin: {address: 0.0.0.0:9128}\n",
       {"1:18: admin.address: \"0.0.0.0:9128\" is not loopback, which is not supported in this "
        "version (a loopback address with a port, unix:/path, or off)"}},
      {"admin: {address: unix:a}\n",
       {"1:18: admin.address: \"unix:a\" is not unix: and an absolute path (a loopback address "
        "with a port, unix:/path, or off)"}},
      {"admin: {address: systemd:a}\n",
       {"1:18: admin.address: \"systemd:a\" is for listeners alone (a loopback address with a "
        "port, unix:/path, or off)"}},
      {"admin: {address: 9128}\n",
       {"1:18: admin.address: \"9128\" has no address; write 127.0.0.1:9128 (a loopback address "
        "with a port, unix:/path, or off)"}},
      {"admin: {public_address: 9129}\n",
       {"1:25: admin.public_address: \"9129\" has no address; write 0.0.0.0:9129 (an address with "
        "a port, such as 0.0.0.0:9129, or off)"}},
      {"admin: {public_address: unix:/a}\n",
       {"1:25: admin.public_address: \"unix:/a\" is no TCP address (an address with a port, such "
        "as 0.0.0.0:9129, or off)"}},
      {"admin: {public_address: node.example:9129}\n",
       {"1:25: admin.public_address: \"node.example:9129\" is a name, not an address (an address "
        "with a port, such as 0.0.0.0:9129, or off)"}},
      {"dns: {servers: [ns.example]}\n",
       {"1:17: dns.servers[0]: \"ns.example\" is a name, which no one could look up (system, or a "
        "list of address[:port])"}},
      {"dns: {servers: 1.1.1.1}\n",
       {"1:16: dns.servers: \"1.1.1.1\" is a single value (system, or a list of address[:port])"}},
      {"dns: {servers: []}\n",
       {"1:16: dns.servers: is an empty list (system, or a list of address[:port])"}},
      {"dns: {servers: ['1.1.1.1:0']}\n",
       {"1:17: dns.servers[0]: \"1.1.1.1:0\" is no host[:port]: the port is not a number from 1 to "
        "65535 (system, or a list of address[:port])"}},
      {"dns: {servers: [[1.1.1.1]]}\n",
       {"1:17: dns.servers[0]: is a list (system, or a list of address[:port])"}},
      {"egress: {deny: [link-local]}\n",
       {"1:17: egress.deny[0]: \"link-local\" is neither a known name nor a CIDR (a list of "
        "link_local, metadata, loopback, private, unspecified, any, addresses or CIDRs)"}},
      {"egress: {deny: [10.0.0.0/33]}\n",
       {"1:17: egress.deny[0]: \"10.0.0.0/33\" has a prefix that is not 0 to 32 (a list of "
        "link_local, metadata, loopback, private, unspecified, any, addresses or CIDRs)"}},
      {"egress: {deny: [10.0.0.1/8]}\n",
       {"1:17: egress.deny[0]: \"10.0.0.1/8\" has bits set after its prefix; did you mean "
        "10.0.0.0/8? (a list of link_local, metadata, loopback, private, unspecified, any, "
        "addresses or CIDRs)"}},
      {"egress: {deny: ['fe80::1/10']}\n",
       {"1:17: egress.deny[0]: \"fe80::1/10\" has bits set after its prefix; did you mean "
        "fe80::/10? (a list of link_local, metadata, loopback, private, unspecified, any, "
        "addresses or CIDRs)"}},
      {"egress: {allow: any}\n",
       {"1:17: egress.allow: \"any\" is a single value (a list of link_local, metadata, loopback, "
        "private, unspecified, any, addresses or CIDRs)"}},
      {"egress: {deny: ['10.0.0.0/']}\n",
       {"1:17: egress.deny[0]: \"10.0.0.0/\" has a prefix that is not 0 to 32 (a list of "
        "link_local, metadata, loopback, private, unspecified, any, addresses or CIDRs)"}},
      {"egress: {deny: ['10.0.0.0/08']}\n",
       {"1:17: egress.deny[0]: \"10.0.0.0/08\" has a prefix that is not 0 to 32 (a list of "
        "link_local, metadata, loopback, private, unspecified, any, addresses or CIDRs)"}},
      {"egress: {deny: [10.0.0]}\n",
       {"1:17: egress.deny[0]: \"10.0.0\" is neither a known name nor a CIDR (a list of "
        "link_local, metadata, loopback, private, unspecified, any, addresses or CIDRs)"}},
      {"egress: {deny: [~]}\n",
       {"1:17: egress.deny[0]: has no value (a list of link_local, metadata, loopback, private, "
        "unspecified, any, addresses or CIDRs)"}},
      {"upstreams:\n  - name: a\n    hosts: [\"*a.example\"]\n",
       {"3:13: upstreams[0].hosts[0]: \"*a.example\" has a * that is not the whole first label (a "
        "list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [\"a.*.example\"]\n",
       {"3:13: upstreams[0].hosts[0]: \"a.*.example\" has a * that is not the whole first label (a "
        "list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [\"*.a.example:443\"]\n",
       {"3:13: upstreams[0].hosts[0]: \"*.a.example:443\" has a port, which only an exact host may "
        "have (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [\"*.10.0.0.1\"]\n",
       {"3:13: upstreams[0].hosts[0]: \"*.10.0.0.1\" puts * before an address (a list of host, "
        "host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [\"*.\"]\n",
       {"3:13: upstreams[0].hosts[0]: \"*.\" is no host[:port]: the host is empty (a list of host, "
        "host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [\"**\"]\n",
       {"3:13: upstreams[0].hosts[0]: \"**\" has a * that is not the whole first label (a list of "
        "host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [https://a.example/]\n",
       {"3:13: upstreams[0].hosts[0]: \"https://a.example/\" is a URL; write its host alone (a "
        "list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example/x]\n",
       {"3:13: upstreams[0].hosts[0]: \"a.example/x\" is no host[:port]: a character that no host "
        "may have (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [bücher.example]\n",
       {"3:13: upstreams[0].hosts[0]: \"bücher.example\" is no host[:port]: the host is not ASCII: "
        "write it as an A-label (xn--...) (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [a..example]\n",
       {"3:13: upstreams[0].hosts[0]: \"a..example\" is no host[:port]: an empty label in the host "
        "(a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: ['']\n",
       {"3:13: upstreams[0].hosts[0]: \"\" is no host[:port]: the host is empty (a list of host, "
        "host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example:http]\n",
       {"3:13: upstreams[0].hosts[0]: \"a.example:http\" is no host[:port]: the port is not a "
        "number from 1 to 65535 (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [127.1]\n",
       {"3:13: upstreams[0].hosts[0]: \"127.1\" is no host[:port]: a numeric host that is no "
        "dotted quad (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [u@a.example]\n",
       {"3:13: upstreams[0].hosts[0]: \"u@a.example\" is no host[:port]: user information in the "
        "authority (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: a.example\n",
       {"3:12: upstreams[0].hosts: \"a.example\" is a single value (a list of host, host:port, "
        "\"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: []\n",
       {"3:12: upstreams[0].hosts: is an empty list (a list of host, host:port, \"*.suffix\" or "
        "\"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: {a: b}\n",
       {"3:12: upstreams[0].hosts: is a map (a list of host, host:port, \"*.suffix\" or \"*\")"}},
      {"upstreams:\n  - name: a\n    hosts:\n",
       {"3:5: upstreams[0].hosts: has no value (a list of host, host:port, \"*.suffix\" or "
        "\"*\")"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    origin: https://a.example\n",
       {"4:13: upstreams[0].origin: \"https://a.example\" is no host[:port]: the port is not a "
        "number from 1 to 65535 (host[:port], or off)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    origin: a b\n",
       {"4:13: upstreams[0].origin: \"a b\" is no host[:port]: a character that no host may have "
        "(host[:port], or off)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    connect_to: unix:run/p.sock\n",
       {"4:17: upstreams[0].connect_to: \"unix:run/p.sock\" is not unix: and an absolute path "
        "(host[:port], unix:/path, or off)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    connect_to: "
       "unix:/"
       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
       {"4:17: upstreams[0].connect_to: "
        "\"unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\" is "
        "longer than a socket's path may be (host[:port], unix:/path, or off)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    connect_to: 127.0.0.1:70000\n",
       {"4:17: upstreams[0].connect_to: \"127.0.0.1:70000\" is no host[:port]: the port is not a "
        "number from 1 to 65535 (host[:port], unix:/path, or off)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    source_address: eth0\n",
       {"4:21: upstreams[0].source_address: \"eth0\" is no IP address (an IP address without a "
        "port, "
        "or off)"}},
      {"defaults: {source_address: '10.0.0.1:80'}\n",
       {"1:28: defaults.source_address: \"10.0.0.1:80\" is no IP address (an IP address without a "
        "port, or off)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    tls: {server_name: a.example:443}\n",
       {"4:24: upstreams[0].tls.server_name: \"a.example:443\" has a port, which is no part of a "
        "name (a host without a port, or auto)"}},
      {"upstreams:\n  - name: a\n    hosts: [a.example]\n    tls: {server_name: 'a b'}\n",
       {"4:24: upstreams[0].tls.server_name: \"a b\" is no host[:port]: a character that no host "
        "may have (a host without a port, or auto)"}},
      {"upstreams:\n  - name: Payments\n    hosts: [a.example]\n",
       {"2:11: upstreams[0].name: \"Payments\" is not a name (lower-case letters, digits, - and _, "
        "at most 64, first a letter or digit)"}},
      {"upstreams:\n  - name: -a\n    hosts: [a.example]\n",
       {"2:11: upstreams[0].name: \"-a\" is not a name (lower-case letters, digits, - and _, at "
        "most 64, first a letter or digit)"}},
      {"upstreams:\n  - name: a b\n    hosts: [a.example]\n",
       {"2:11: upstreams[0].name: \"a b\" is not a name (lower-case letters, digits, - and _, at "
        "most 64, first a letter or digit)"}},
      {"upstreams:\n  - name: ''\n    hosts: [a.example]\n",
       {"2:11: upstreams[0].name: \"\" is not a name (lower-case letters, digits, - and _, at most "
        "64, first a letter or digit)"}},
      {"upstreams:\n  - name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n  "
       "  hosts: [a.example]\n",
       {"2:11: upstreams[0].name: "
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" is longer than 64 "
        "characters (lower-case letters, digits, - and _, at most 64, first a letter or digit)"}},
  };
  expect_faults(cases);
}

}  // namespace
}  // namespace penstock
