// What files mean: defaults, overrides, the files they name; and that no bytes bring the loader
// down.
#include "config/loader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "config/key_table.h"
#include "config/sample.h"
#include "unit/config/settings_text.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

Config load(std::string_view text) {
  const LoadResult result = load_text("p.yaml", text);
  for (const auto& line : result.fault_lines()) ADD_FAILURE() << line;
  return result.ok() ? *result.config : Config{};
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-config-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path(name);
  }

 private:
  std::filesystem::path path_;
};

constexpr std::string_view kCertificate =
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
constexpr std::string_view kKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

TEST(Loader, WithoutAFileServesEveryHost) {
  const Config config = default_config();
  ASSERT_EQ(config.listeners.size(), 1U);
  EXPECT_EQ(config.listeners[0].address, "127.0.0.1:3128");
  ASSERT_EQ(config.upstreams.size(), 1U);
  EXPECT_EQ(config.upstreams[0].name, "default");
  EXPECT_EQ(config.upstreams[0].hosts, std::vector<std::string>{"*"});
  EXPECT_EQ(config.upstreams[0].policy.scheme, SchemeMode::kAuto);
  EXPECT_TRUE(config.admin.address_is_default);
}

TEST(Loader, TakesAnEmptyFileAsNone) {
  for (const std::string_view text : {"", "\n", "# nothing\n", "---\n", "{}\n", "~\n", "client:\n",
                                      "defaults:\nlisteners:\nupstreams:\n", "\xEF\xBB\xBF"}) {
    EXPECT_EQ(settings_text(load(text)), settings_text(default_config())) << text;
  }
}

TEST(AdminOfAFile, IsReadWhateverIsWrongElsewhere) {
  for (const std::string_view text :
       {"admin: {address: 127.0.0.1:9200}\n",
        "\xEF\xBB\xBF"
        "admin:\n  address: 127.0.0.1:9200\n",
        "no_such_key: 1\nadmin: {address: 127.0.0.1:9200, no_such_key: 1}\nupstreams: 5\n",
        "admin:\n  address: 127.0.0.1:9200\nadmin:\n  address: 127.0.0.1:9300\n",
        "upstreams: [{name: a, hosts: [a.test], tls: {ca_file: /no/such/file}}]\n"
        "admin: {address: 127.0.0.1:9200}\n",
        // Not YAML before it, behind it, and in it.
        "upstreams: [{name: a\nadmin:\n  address: 127.0.0.1:9200\n",
        "admin:\n# why\n\n  address: 127.0.0.1:9200\nupstreams:\n- name: \"a\n",
        "admin:\r\n  address: 127.0.0.1:9200\r\nupstreams: [\r\n",
        "admin:\n  address: 127.0.0.1:9200\n  public_address: \"0.0.0.0\n",
        "a: \xff\nadmin: {address: 127.0.0.1:9200}\n"}) {
    EXPECT_EQ(read_admin(text).address, "127.0.0.1:9200") << text;
  }
}

TEST(AdminOfAFile, MayBeOff) {
  const AdminSettings admin =
      read_admin("no_such_key: 1\nadmin: {address: off, public_address: '127.0.0.1:9129'}\n");
  EXPECT_EQ(admin.address, "");
  EXPECT_EQ(admin.public_address, "127.0.0.1:9129");
}

TEST(AdminOfAFile, IsTheDefaultWhereItCannotBeHad) {
  for (const std::string_view text :
       {"", "admin:", "admin", "- admin\n", "a: [", "admin: {address: [", "admin: {address:",
        "admin: {address: nonsense}\n", "admin: 5\n", "admins: {address: 127.0.0.1:9200}\n", "\n",
        "listeners:\n  admin: {address: 127.0.0.1:9200}\n", "? [admin, ", "{? {a: {b, "}) {
    EXPECT_EQ(read_admin(text).address, "127.0.0.1:9128") << text;
  }
}

TEST(Loader, GivesTheCatchAllTheDefaultsOfTheFile) {
  const Config config = load("defaults: {scheme: same, pool: {max_connections: 7}}\n");
  ASSERT_EQ(config.upstreams.size(), 1U);
  EXPECT_EQ(config.upstreams[0].hosts, std::vector<std::string>{"*"});
  EXPECT_EQ(config.upstreams[0].policy.scheme, SchemeMode::kSame);
  EXPECT_EQ(config.upstreams[0].policy.pool.max_connections, 7U);
}

TEST(Loader, OverridesDefaultsKeyByKeyWhereverTheyStand) {
  const Config config = load(
      "upstreams:\n"
      "  - {name: a, hosts: [a.example], timeouts: {total: 3s}}\n"
      "  - {name: b, hosts: [b.example]}\n"
      "defaults: {timeouts: {total: 9s, queue: off}, via: off}\n");
  const TimeoutSettings& a = config.upstreams[0].policy.timeouts;
  const TimeoutSettings& b = config.upstreams[1].policy.timeouts;
  EXPECT_EQ(a.total, 3s);
  EXPECT_EQ(a.queue, std::nullopt);
  EXPECT_EQ(a.connect, 5s);
  EXPECT_EQ(b.total, 9s);
  EXPECT_FALSE(config.upstreams[0].policy.via);
}

TEST(Loader, SaysWhichFilesItReadAndWhatWasInThem) {
  const TemporaryFolder folder;
  folder.write("ca.pem", kCertificate);
  const std::string file = folder.write("p.yaml",
                                        "reload: {watch: 5s}\n"
                                        "defaults: {tls: {ca_file: ca.pem}}\n"
                                        "upstreams:\n"
                                        "  - {name: a, hosts: [a.example]}\n"
                                        "  - {name: b, hosts: [b.example]}\n");
  const LoadResult first = load_file(file);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first.config->reload.watch, 5s);
  ASSERT_EQ(first.files.size(), 2U) << "each once";
  EXPECT_EQ(first.files[0].path, folder.path("ca.pem"));
  EXPECT_EQ(first.files[1].path, file);
  EXPECT_EQ(load_file(file).files, first.files);
  folder.write("ca.pem", std::string(kCertificate) + "\n");
  const LoadResult second = load_file(file);
  EXPECT_NE(second.files[0], first.files[0]);
  EXPECT_EQ(second.files[1], first.files[1]);
}

TEST(Loader, SaysWhichFilesItReadOfWhatItRefuses) {
  const TemporaryFolder folder;
  const std::string file = folder.write("p.yaml",
                                        "no_such_key: 1\n"
                                        "defaults: {tls: {ca_file: later.pem}}\n");
  const LoadResult without = load_file(file);
  EXPECT_FALSE(without.ok());
  ASSERT_EQ(without.files.size(), 2U);
  EXPECT_EQ(without.files[0].path, folder.path("later.pem"));
  folder.write("later.pem", kCertificate);
  EXPECT_NE(load_file(file).files[0], without.files[0]);
  EXPECT_EQ(load_file(folder.path("nowhere.yaml")).files.size(), 1U);
}

TEST(Loader, NotesWhichTimeoutsTheFileSets) {
  const Config config = load(
      "defaults: {timeouts: {queue: off}}\n"
      "upstreams:\n"
      "  - {name: a, hosts: [a.example], timeouts: {total: 3s, body_stall: 1s}}\n"
      "  - {name: b, hosts: [b.example]}\n");
  const UpstreamPolicy& a = config.upstreams[0].policy;
  EXPECT_TRUE(is_timeout_set(a, "timeouts.queue"));
  EXPECT_TRUE(is_timeout_set(a, "timeouts.body_stall"));
  EXPECT_TRUE(is_timeout_set(a, "timeouts.total"));
  EXPECT_FALSE(is_timeout_set(a, "timeouts.connect"));
  EXPECT_EQ(config.upstreams[1].policy.timeouts_set, timeout_bits("timeouts.queue"));
}

TEST(Loader, KeepsAsManyIdleAsConnectionsWhereThoseAreSet) {
  struct Case {
    std::string_view defaults;
    std::string_view own;
    std::uint32_t max_idle;
  };
  const std::vector<Case> cases = {
      {"{}", "{}", 100},
      {"{}", "{max_connections: 5}", 5},
      {"{}", "{max_connections: 5000}", 5000},
      {"{max_connections: 7}", "{}", 7},
      {"{max_connections: 7}", "{max_connections: 9}", 9},
      {"{max_idle: 3}", "{max_connections: 9}", 3},
      {"{max_connections: 9}", "{max_idle: 0}", 0},
      {"{max_idle: unlimited}", "{}", 1000},
      {"{max_idle: unlimited}", "{max_connections: 5}", 5},
      {"{max_connections: unlimited}", "{}", kUnlimitedCount},
      {"{max_connections: unlimited}", "{max_idle: 2}", 2},
  };
  for (const Case& each : cases) {
    const Config config = load(
        "defaults: {pool: " + std::string(each.defaults) +
        "}\nupstreams: [{name: a, hosts: [a.example], pool: " + std::string(each.own) + "}]\n");
    EXPECT_EQ(config.upstreams[0].policy.pool.max_idle, each.max_idle)
        << each.defaults << ' ' << each.own;
  }
}

TEST(Loader, TakesAnUnlimitedOrUnwrittenMaxConnectingWithAnyMaxConnections) {
  const auto max_connecting = [](const std::string& pool) {
    return load("upstreams: [{name: a, hosts: [a.example], pool: " + pool + "}]\n")
        .upstreams[0]
        .policy.pool.max_connecting;
  };
  EXPECT_EQ(max_connecting("{max_connections: 3}"), 16U);
  EXPECT_EQ(max_connecting("{max_connections: 3, max_connecting: unlimited}"), kUnlimitedCount);
  EXPECT_EQ(max_connecting("{max_connections: 30, max_connecting: 30}"), 30U);
}

TEST(Loader, BelievesTheUrlsSchemeOnlyForCatchAlls) {
  const auto scheme = [](const std::string& defaults, const std::string& upstream) {
    return load("defaults: {" + defaults + "}\nupstreams: [{name: a, " + upstream + "}]\n")
        .upstreams[0]
        .policy.scheme;
  };
  EXPECT_EQ(scheme("", "hosts: [a.example]"), SchemeMode::kHttps);
  EXPECT_EQ(scheme("", "hosts: [a.example, '*']"), SchemeMode::kAuto);
  EXPECT_EQ(scheme("", "hosts: ['*.example']"), SchemeMode::kHttps);
  EXPECT_EQ(scheme("scheme: https", "hosts: ['*']"), SchemeMode::kHttps);
  EXPECT_EQ(scheme("", "hosts: ['*'], scheme: http"), SchemeMode::kHttp);
}

TEST(Loader, ReadsQuotedAndTaggedValuesLikePlainOnes) {
  const Config config = load(
      "client: {header_timeout: \"10s\", max_header_fields: '5', idle_timeout: !!str off}\n"
      "\"log\": {'level': \"debug\"}\n");
  EXPECT_EQ(config.client.header_timeout, 10s);
  EXPECT_EQ(config.client.max_header_fields, 5U);
  EXPECT_EQ(config.client.idle_timeout, std::nullopt);
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
}

TEST(Loader, FollowsAliases) {
  const Config config = load(
      "defaults: {timeouts: &t {total: 3s, queue: &q 4s}}\n"
      "upstreams:\n"
      "  - {name: a, hosts: &h [a.example], timeouts: *t}\n"
      "  - {name: b, hosts: [b.example], timeouts: {connect: *q}}\n");
  EXPECT_EQ(config.upstreams[0].policy.timeouts.total, 3s);
  EXPECT_EQ(config.upstreams[1].policy.timeouts.connect, 4s);
}

TEST(Loader, ReplacesDefaultListsAndTakesTheirWords) {
  const Config config = load(
      "egress: {deny: [], allow: [10.0.0.0/8]}\n"
      "dns: {servers: [1.1.1.1]}\n"
      "listeners: [{upstreams: all, upstream: off}]\n");
  EXPECT_TRUE(config.egress.deny.empty());
  EXPECT_EQ(config.egress.allow, std::vector<std::string>{"10.0.0.0/8"});
  EXPECT_EQ(config.dns.servers, std::vector<std::string>{"1.1.1.1"});
  EXPECT_TRUE(load("dns: {servers: system}\n").dns.servers.empty());
  EXPECT_EQ(load("").egress.deny, (std::vector<std::string>{"link_local", "metadata"}));
}

TEST(Loader, KnowsAConfiguredAdminAddressFromTheDefault) {
  EXPECT_FALSE(load("admin: {address: 127.0.0.1:9128}\n").admin.address_is_default);
  EXPECT_EQ(load("admin: {address: off}\n").admin.address, "");
}

TEST(Loader, TakesAnyAddressAsThePublicAdminAddress) {
  const auto taken = [](std::string_view text) {
    return load("admin: {public_address: '" + std::string(text) + "'}\n").admin.public_address;
  };
  EXPECT_EQ(load("").admin.public_address, "");
  EXPECT_EQ(taken("off"), "");
  EXPECT_EQ(taken("0.0.0.0:9129"), "0.0.0.0:9129");
  EXPECT_EQ(taken("0.0.0.0:0"), "0.0.0.0:0");
  EXPECT_EQ(taken("[0::]:9129"), "[::]:9129");
  EXPECT_EQ(taken("10.1.2.3:80"), "10.1.2.3:80");
}

TEST(Loader, TakesAWaitForClientsUpToTheGrace) {
  EXPECT_EQ(load("").shutdown.wait_for_clients, std::nullopt);
  EXPECT_EQ(load("shutdown: {wait_for_clients: off}\n").shutdown.wait_for_clients, std::nullopt);
  EXPECT_EQ(load("shutdown: {grace: 10s, wait_for_clients: 10s}\n").shutdown.wait_for_clients, 10s);
}

TEST(Loader, TakesSeveralListenersOnPortsTheSystemChooses) {
  const Config config = load(
      "admin: {address: 127.0.0.1:0}\n"
      "listeners: [{address: 127.0.0.1:0}, {address: 127.0.0.1:0}]\n");
  EXPECT_EQ(config.listeners.size(), 2U);
}

TEST(Loader, TakesBaseUrlListenersWhoseAuthorityIsKnown) {
  for (const std::string_view upstream :
       {"hosts: [a.example]", "hosts: [a.example, '*.example']", "hosts: ['*'], origin: a.example",
        "hosts: [a.example, b.example], origin: a.example"}) {
    load("listeners: [{upstream: a}]\nupstreams: [{name: a, " + std::string(upstream) + "}]\n");
  }
}

TEST(PolicyFiles, AreReadRelativeToTheConfiguration) {
  const TemporaryFolder folder;
  folder.write("ca.pem", kCertificate);
  folder.write("key.pem", kKey);
  const std::string file =
      folder.write("penstock.yaml",
                   "defaults: {tls: {ca_file: ca.pem}}\n"
                   "upstreams:\n"
                   "  - {name: a, hosts: [a.example], tls: {cert_file: ca.pem, key_file: " +
                       folder.path("key.pem") + "}}\n" +
                       "  - {name: b, hosts: [b.example], tls: {ca_file: system}}\n");
  const LoadResult result = load_file(file);
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  const UpstreamPolicy& a = result.config->upstreams[0].policy;
  EXPECT_EQ(a.ca_pem, kCertificate);
  EXPECT_EQ(a.cert_pem, kCertificate);
  EXPECT_EQ(a.key_pem, kKey);
  EXPECT_EQ(a.tls.ca_file, "ca.pem");
  EXPECT_EQ(result.config->upstreams[1].policy.ca_pem, "");
}

TEST(PolicyFiles, ThatAreUnusableSayWhyAndForWhom) {
  const TemporaryFolder folder;
  folder.write("text.pem", "hello\n");
  folder.write("cert.pem", kCertificate);
  folder.write("encrypted.pem",
               "-----BEGIN ENCRYPTED PRIVATE KEY-----\nA\n-----END ENCRYPTED PRIVATE KEY-----\n");
  const auto fault_of = [&](const std::string& tls) {
    const LoadResult result = load_text(
        folder.path("p.yaml"), "upstreams: [{name: a, hosts: [a.example], tls: {" + tls + "}}]\n");
    return result.faults.empty() ? "" : result.faults[0].key + ": " + result.faults[0].what;
  };
  const std::string missing = fault_of("ca_file: none.pem");
  EXPECT_TRUE(missing.starts_with("upstreams[0].tls.ca_file: \"none.pem\" cannot be read by uid " +
                                  std::to_string(geteuid())))
      << missing;
  EXPECT_TRUE(missing.ends_with(": No such file or directory")) << missing;
  EXPECT_EQ(fault_of("extra_ca_file: text.pem"),
            "upstreams[0].tls.extra_ca_file: \"text.pem\" holds no certificate in PEM");
  EXPECT_EQ(fault_of("cert_file: cert.pem, key_file: cert.pem"),
            "upstreams[0].tls.key_file: \"cert.pem\" holds no private key in PEM");
  EXPECT_EQ(
      fault_of("cert_file: cert.pem, key_file: encrypted.pem"),
      "upstreams[0].tls.key_file: \"encrypted.pem\" is encrypted, and there is nobody to ask");
}

TEST(PolicyFiles, OfTheDefaultsAreBlamedOnce) {
  const LoadResult result =
      load_text("p.yaml",
                "defaults: {tls: {ca_file: /nowhere/ca.pem}}\n"
                "upstreams: [{name: a, hosts: [a.example]}, {name: b, hosts: [b.example]}]\n");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_EQ(result.faults[0].key, "defaults.tls.ca_file");
  EXPECT_EQ(result.faults[0].at, (Position{1, 27}));
}

TEST(PolicyFiles, NeverMakeTheLoaderWait) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
  const LoadResult result = load_text(folder.path("p.yaml"), "defaults: {tls: {ca_file: fifo}}\n");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_EQ(result.faults[0].what, "\"fifo\" is not a regular file");
}

TEST(ConfigurationFile, MayBeAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string_view text = "log: {level: debug}\n";
  ASSERT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(ends[1]);
  const LoadResult result = load_file("/dev/fd/" + std::to_string(ends[0]));
  close(ends[0]);
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  EXPECT_EQ(result.config->log.level, LogLevel::kDebug);
}

TEST(ConfigurationFile, ThatCannotBeReadIsOneFault) {
  const TemporaryFolder folder;
  const LoadResult missing = load_file(folder.path("none.yaml"));
  EXPECT_FALSE(missing.ok());
  ASSERT_EQ(missing.faults.size(), 1U);
  EXPECT_TRUE(missing.fault_lines()[0].starts_with(folder.path("none.yaml: cannot be read by ")));
  EXPECT_EQ(load_file(folder.path("")).faults[0].what, "is a folder");
  EXPECT_EQ(load_file("/dev/zero").faults[0].what, "is not a regular file");
}

TEST(ConfigurationFile, IsBoundedInSize) {
  const TemporaryFolder folder;
  const std::string comment = '#' + std::string(kMaxConfigBytes - 1, 'x');
  EXPECT_TRUE(load_file(folder.write("most.yaml", comment)).ok());
  EXPECT_EQ(load_file(folder.write("more.yaml", comment + 'x')).faults[0].what,
            "is larger than 4MiB");
  EXPECT_EQ(load_text("p.yaml", comment + 'x').faults[0].what, "is larger than 4MiB");
}

TEST(Risks, AreToldWithTheirPlace) {
  const TemporaryFolder folder;
  folder.write("c.pem", std::string(kCertificate) + std::string(kKey));
  const LoadResult result = load_text(
      folder.path("p.yaml"),
      "defaults: {tls: {verify: off}}\n"
      "listeners: [{address: 127.0.0.1:1, upstreams: [b]}, {address: 127.0.0.1:2, upstream: a}]\n"
      "upstreams:\n"
      "  - {name: a, hosts: [a.example], tls: {cert_file: c.pem, key_file: c.pem}}\n"
      "  - {name: b, hosts: [b.example], tls: {cert_file: c.pem, key_file: c.pem, verify: on}}\n");
  ASSERT_TRUE(result.ok()) << result.fault_lines().front();
  ASSERT_EQ(result.risks.size(), 2U);
  EXPECT_EQ(to_string(result.risks[0], "p"),
            "p:1:26: defaults.tls.verify: certificates of upstream \"a\" are not verified: anybody "
            "in between may read and change all");
  EXPECT_EQ(to_string(result.risks[1], "p"),
            "p:4:52: upstreams[0].tls.cert_file: whoever reaches 127.0.0.1:2 acts with the client "
            "certificate of upstream \"a\" (a listener's upstreams narrows it)");
}

TEST(Faults, OfAWholeFileComeAllAtOnceInOrder) {
  const LoadResult result = load_text("p.yaml",
                                      "listeners: [{address: 1}]\n"
                                      "upstreams:\n"
                                      "  - {name: A, hosts: [x y], pool: {max_idle: 5, order: x}}\n"
                                      "client: {header_timeout: 0}\n"
                                      "frob: 1\n");
  std::vector<Position> places;
  for (const Fault& fault : result.faults) places.push_back(fault.at);
  EXPECT_EQ(places, (std::vector<Position>{{1, 23}, {3, 12}, {3, 23}, {3, 56}, {4, 26}, {5, 1}}));
  EXPECT_EQ(result.config, nullptr);
}

TEST(Faults, BeyondAThousandAreCutShort) {
  std::string text;
  for (int i = 0; i < 1500; ++i) text += "key" + std::to_string(i) + ": 1\n";
  const LoadResult result = load_text("p.yaml", text);
  ASSERT_EQ(result.faults.size(), 1001U);
  EXPECT_EQ(result.fault_lines().back(),
            "p.yaml:1001:1: more faults than can be shown; mend the others first");
}

TEST(Loader, EndsOnAliasesThatMultiply) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += 'a' + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) text += ", " + before;
    text += "]\n";
  }
  const LoadResult result = load_text("p.yaml", text);
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_EQ(result.faults[0].what,
            "too many values from here on (an alias counts as all it repeats)");
}

TEST(Loader, EndsOnNestingWithoutEnd) {
  for (const std::string_view opener : {"[", "{", "- ", "? ", "a: {", "[{", "!!seq [", "&a ["}) {
    std::string text;
    while (text.size() < 200'000) text += opener;
    EXPECT_FALSE(load_text("p.yaml", text).ok()) << opener;
  }
}

TEST(Loader, RefusesBytesThatAreNoUtf8) {
  for (const std::string_view bytes :
       {"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3", "\x80"}) {
    const LoadResult result = load_text("p.yaml", "log: {}\n# " + std::string(bytes));
    ASSERT_EQ(result.faults.size(), 1U);
    EXPECT_EQ(result.fault_lines()[0], "p.yaml:2:3: a byte that is not UTF-8 text");
  }
}

TEST(Faults, AreOneLineEachWhateverTheKeysHold) {
  const LoadResult result = load_text("p.yaml", "\"a\\r\\n\\0b\": 1\n");
  ASSERT_EQ(result.faults.size(), 1U);
  EXPECT_TRUE(result.fault_lines()[0].starts_with("p.yaml:1:1: a\\x0d\\x0a\\x00b: "))
      << result.fault_lines()[0];
}

// A small file, broken in many ways from a fixed seed: a result comes back whatever the bytes are.
TEST(Loader, SurvivesEveryMutation) {
  std::mt19937 random(20240607);
  const std::string bytes =
      "{}[],:&*#?|-<>=!%@\\\"'\n\t \x01\xff"
      "09az~.";
  const std::string base = minimal_yaml() +
                           "defaults: &d {tls: {verify: true}, pool: {max_idle: 5}}\n"
                           "admin:\n  address: 127.0.0.1:9200\n";
  int accepted = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text = base;
    for (unsigned edits = random() % 6; edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = bytes[random() % bytes.size()];
          break;
        case 1:
          text.insert(at, 1, bytes[random() % bytes.size()]);
          break;
        default:
          text.erase(at, random() % 8);
          break;
      }
    }
    const LoadResult result = load_text("p.yaml", text);
    EXPECT_EQ(result.ok(), result.faults.empty());
    for (const std::string& line : result.fault_lines()) EXPECT_FALSE(line.empty());
    const AdminSettings admin = read_admin(text);
    if (result.ok()) {
      EXPECT_EQ(admin.address, result.config->admin.address) << text;
    }
    accepted += result.ok() ? 1 : 0;
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 1400);
}

}  // namespace
}  // namespace penstock
