// Listeners: addresses that are none, and what does not fit an address.
#include "config/listener_rules.h"
#include "unit/config/fault_cases.h"

namespace penstock {
namespace {

TEST(Faults, OfListenersAddressesSayWhatIsWrongWithThem) {
  const std::vector<FaultCase> cases = {
      {"listeners: [{address: 3128}]\n",
       {"1:23: listeners[0].address: \"3128\" has no address; write 127.0.0.1:3128 (an address "
        "with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: ':3128'}]\n",
       {"1:23: listeners[0].address: \":3128\" is no host[:port]: the host is empty (an address "
        "with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 127.0.0.1}]\n",
       {"1:23: listeners[0].address: \"127.0.0.1\" has no port (an address with a port such as "
        "127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: '*:3128'}]\n",
       {"1:23: listeners[0].address: \"*:3128\" is no host[:port]: a character that no host may "
        "have (an address with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: '::1:3128'}]\n",
       {"1:23: listeners[0].address: \"::1:3128\" is no host[:port]: the host is empty (an address "
        "with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: proxy.local:3128}]\n",
       {"1:23: listeners[0].address: \"proxy.local:3128\" is a name, not an address (an address "
        "with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 127.0.0.1:99999}]\n",
       {"1:23: listeners[0].address: \"127.0.0.1:99999\" is no host[:port]: the port is not a "
        "number from 1 to 65535 (an address with a port such as 127.0.0.1:3128, unix:/path, or "
        "systemd:NAME)"}},
      {"listeners: [{address: 127.0.0.1:80:0}]\n",
       {"1:23: listeners[0].address: \"127.0.0.1:80:0\" has two ports (an address with a port such "
        "as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 127.1:3128}]\n",
       {"1:23: listeners[0].address: \"127.1:3128\" is no host[:port]: a numeric host that is no "
        "dotted quad (an address with a port such as 127.0.0.1:3128, unix:/path, or "
        "systemd:NAME)"}},
      {"listeners: [{address: off}]\n",
       {"1:23: listeners[0].address: \"off\" has no port (an address with a port such as "
        "127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 'unix:p.sock'}]\n",
       {"1:23: listeners[0].address: \"unix:p.sock\" is not unix: and an absolute path (an address "
        "with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 'unix:'}]\n",
       {"1:23: listeners[0].address: \"unix:\" is not unix: and an absolute path (an address with "
        "a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 'systemd:'}]\n",
       {"1:23: listeners[0].address: \"systemd:\" is not systemd: and the name of a socket (an "
        "address with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
      {"listeners: [{address: 'systemd:a b'}]\n",
       {"1:23: listeners[0].address: \"systemd:a b\" is not systemd: and the name of a socket (an "
        "address with a port such as 127.0.0.1:3128, unix:/path, or systemd:NAME)"}},
  };
  expect_faults(cases);
}

TEST(Faults, OfUnixListenersSayWhatIsWrongWithTheirKeys) {
  const std::vector<FaultCase> cases = {
      {"listeners: [{address: unix:/run/penstock/a.sock, mode: rw}]\n",
       {"1:56: listeners[0].mode: \"rw\" is not the mode of a file (four octal digits in quotes, "
        "such as \"0660\")"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, mode: '0680'}]\n",
       {"1:56: listeners[0].mode: \"0680\" is not the mode of a file (four octal digits in quotes, "
        "such as \"0660\")"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, mode: '4755'}]\n",
       {"1:56: listeners[0].mode: \"4755\" is not the mode of a file (four octal digits in quotes, "
        "such as \"0660\")"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, mode: '06600'}]\n",
       {"1:56: listeners[0].mode: \"06600\" is not the mode of a file (four octal digits in "
        "quotes, such as \"0660\")"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, mode: '0444'}]\n",
       {"1:56: listeners[0].mode: \"0444\" lets nobody connect, which takes the write bit (four "
        "octal digits in quotes, such as \"0660\")"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, owner: ':www-data'}]\n",
       {"1:57: listeners[0].owner: \":www-data\" is not user or user:group (user or user:group, or "
        "off)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, owner: 'a:'}]\n",
       {"1:57: listeners[0].owner: \"a:\" is not user or user:group (user or user:group, or off)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, owner: 'a:b:c'}]\n",
       {"1:57: listeners[0].owner: \"a:b:c\" is not user or user:group (user or user:group, or "
        "off)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, owner: 'a b'}]\n",
       {"1:57: listeners[0].owner: \"a b\" is not user or user:group (user or user:group, or "
        "off)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, allow_uids: [www-data]}]\n",
       {"1:63: listeners[0].allow_uids[0]: \"www-data\" is not a whole number (a list of user ids, "
        "or all)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, allow_uids: [4294967295]}]\n",
       {"1:63: listeners[0].allow_uids[0]: \"4294967295\" is too large (a list of user ids, or "
        "all)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, allow_uids: []}]\n",
       {"1:62: listeners[0].allow_uids: is an empty list (a list of user ids, or all)"}},
      {"listeners: [{address: unix:/run/penstock/a.sock, allow_clients: [any]}]\n",
       {"1:65: listeners[0].allow_clients: clients of a unix socket have no address (mode, owner "
        "and allow_uids say who may)"}},
  };
  expect_faults(cases);
}

TEST(Faults, OfListenersOnANetworkAskWhoMayUseThem) {
  const std::vector<FaultCase> cases = {
      {"listeners: [{address: 0.0.0.0:3128}]\n",
       {"1:23: listeners[0].address: \"0.0.0.0:3128\" is not loopback: every machine that reaches "
        "it could use this proxy (allow_clients must say which may: private, any, addresses or "
        "CIDRs)"}},
      {"listeners: [{address: '[::]:3128'}]\n",
       {"1:23: listeners[0].address: \"[::]:3128\" is not loopback: every machine that reaches it "
        "could use this proxy (allow_clients must say which may: private, any, addresses or "
        "CIDRs)"}},
      {"listeners: [{address: 10.1.2.3:0}]\n",
       {"1:23: listeners[0].address: \"10.1.2.3:0\" is not loopback: every machine that reaches it "
        "could use this proxy (allow_clients must say which may: private, any, addresses or "
        "CIDRs)"}},
      {"listeners: [{address: 10.1.2.3:1, allow_clients: auto}]\n",
       {"1:23: listeners[0].address: \"10.1.2.3:1\" is not loopback: every machine that reaches it "
        "could use this proxy (allow_clients must say which may: private, any, addresses or "
        "CIDRs)"}},
  };
  expect_faults(cases);
}

TEST(Faults, OfListenersSayWhichKeyDoesNotFit) {
  const std::vector<FaultCase> cases = {
      {"listeners: [{allow_uids: [33]}]\n",
       {"1:26: listeners[0].allow_uids: is for unix sockets, where the kernel knows the user "
        "(allow_clients takes addresses)"}},
      {"listeners: [{mode: '0660'}]\n",
       {"1:20: listeners[0].mode: is for unix sockets, which alone are files"}},
      {"listeners: [{owner: www-data}]\n",
       {"1:21: listeners[0].owner: is for unix sockets, which alone are files"}},
      {"listeners: [{address: 10.1.2.3:1, allow_clients: [lan]}]\n",
       {"1:51: listeners[0].allow_clients[0]: \"lan\" is neither a known name nor a CIDR (a list "
        "of loopback, private, any, addresses or CIDRs, or auto)"}},
      {"listeners: [{allow_clients: [10.0.0.1/8]}]\n",
       {"1:30: listeners[0].allow_clients[0]: \"10.0.0.1/8\" has bits set after its prefix; did "
        "you mean 10.0.0.0/8? (a list of loopback, private, any, addresses or CIDRs, or auto)"}},
      {"listeners: [{allow_clients: []}]\n",
       {"1:29: listeners[0].allow_clients: is an empty list (a list of loopback, private, any, "
        "addresses or CIDRs, or auto)"}},
      {"listeners: [{address: systemd:http, mode: '0660'}]\n",
       {"1:43: listeners[0].mode: is systemd's to set (SocketMode=, SocketUser= and SocketGroup= "
        "of the unit)"}},
      {"listeners: [{address: systemd:http, owner: www-data}]\n",
       {"1:44: listeners[0].owner: is systemd's to set (SocketMode=, SocketUser= and SocketGroup= "
        "of the unit)"}},
      {"listeners: [{address: unix:/a:0}, {address: unix:/a:0}]\n",
       {"1:45: listeners[1].address: \"unix:/a:0\" is the address of listeners[0].address "
        "already"}},
  };
  expect_faults(cases);
}

TEST(Faults, OfAUnixPathThatIsTooLongSaySo) {
  const std::string fits = "unix:/" + std::string(106, 'x');
  EXPECT_TRUE(load_text("p.yaml", "listeners: [{address: '" + fits + "'}]\n").ok());
  const auto faults = load_text("p.yaml", "listeners: [{address: '" + fits + "x'}]\n").faults;
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_NE(faults[0].what.find("is longer than a socket's path may be"), std::string::npos);
}

TEST(Listeners, MayBeOfEveryKindWithTheKeysThatFit) {
  const LoadResult result = load_text(
      "p.yaml",
      "listeners:\n"
      "  - {address: 'unix:/run/p.sock', mode: 660, owner: 'www-data:adm', allow_uids: [33, 0]}\n"
      "  - {address: 'systemd:penstock.socket', allow_uids: [33], allow_clients: [any]}\n"
      "  - {address: 0.0.0.0:3128, allow_clients: [private, loopback, 192.0.2.0/24]}\n"
      "  - {address: 127.0.0.1:1, allow_clients: [127.0.0.2]}\n");
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  const auto& listeners = result.config->listeners;
  EXPECT_EQ(listeners[0].mode, "0660");
  EXPECT_EQ(listeners[0].owner, "www-data:adm");
  EXPECT_EQ(listeners[0].allow_uids, (std::vector<std::string>{"33", "0"}));
  EXPECT_EQ(listeners[1].mode, "0600");
  EXPECT_EQ(listeners[2].allow_clients,
            (std::vector<std::string>{"private", "loopback", "192.0.2.0/24"}));
}

TEST(Listeners, AreCheckedAgainForWhatAPassedSocketIs) {
  ListenerSettings listener;
  listener.address = "systemd:http";
  EXPECT_FALSE(find_misfit(listener, SocketReach::kLoopback));
  EXPECT_FALSE(find_misfit(listener, SocketReach::kUnix));
  EXPECT_EQ(find_misfit(listener, SocketReach::kNetwork)->key, "address");
  listener.allow_clients = {"any"};
  EXPECT_FALSE(find_misfit(listener, SocketReach::kNetwork));
  EXPECT_EQ(find_misfit(listener, SocketReach::kUnix)->key, "allow_clients");
  listener.allow_uids = {"33"};
  EXPECT_EQ(find_misfit(listener, SocketReach::kNetwork)->key, "allow_uids");
}

TEST(Listeners, ThatAllowUsersWhomTheirModeKeepsOutAreARisk) {
  const auto risks = [](const std::string& keys) {
    return load_text("p.yaml", "listeners: [{address: 'unix:/a', allow_uids: [33]" + keys + "}]\n")
        .risk_lines();
  };
  EXPECT_EQ(risks(""), (std::vector<std::string>{
                           "p.yaml:1:46: listeners[0].allow_uids: mode 0600 keeps out everybody "
                           "but the daemon's own user (write mode: \"0666\" beside it, or an "
                           "owner)"}));
  EXPECT_TRUE(risks(", mode: '0666'").empty());
  EXPECT_TRUE(risks(", owner: www-data").empty());
}

TEST(Listeners, ThatTakeANetworkToLoopbackAreARisk) {
  const auto count = [](const std::string& keys, const std::string& rest) {
    return load_text("p.yaml",
                     "listeners: [{address: 0.0.0.0:1, allow_clients: [any]" + keys + "}]\n" + rest)
        .risk_lines()
        .size();
  };
  const std::string named = "upstreams: [{name: a, hosts: [a.example]}]\n";
  const std::string opened = "egress: {allow: [loopback]}\n";
  EXPECT_EQ(count("", opened), 1U);
  EXPECT_EQ(count("", "egress: {allow: [any]}\n"), 1U);
  EXPECT_EQ(count("", ""), 0U);
  EXPECT_EQ(count("", "egress: {allow: [127.0.0.2]}\n"), 0U);
  EXPECT_EQ(count("", opened + named), 0U);
  EXPECT_EQ(count(", upstreams: [default]", opened), 0U);
}

}  // namespace
}  // namespace penstock
