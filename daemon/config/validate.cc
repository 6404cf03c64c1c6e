#include "config/validate.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "config/addresses.h"
#include "config/listener_rules.h"
#include "config/route_rules.h"
#include "config/suggestion.h"
#include "config/values.h"

namespace penstock {
namespace {

// Names of upstreams that a mistyped one is compared with.
constexpr std::size_t kMostCompared = 256;

bool is_exact(std::string_view pattern) { return !pattern.starts_with('*'); }

bool has_free_port(std::string_view address) {
  return listener_kind(address) == ListenerKind::kTcp && address.ends_with(":0");
}

// A key that names an address to listen on.
struct Claim {
  std::string path;
  std::string address;
};

// What is the same however it is written. Not past a "..", which may leave through a symbolic link.
std::string same_address(const std::string& address) {
  if (listener_kind(address) != ListenerKind::kUnix) return address;
  const std::string path(socket_name(address));
  if (path.find("/..") != std::string::npos) return address;
  return "unix:" + std::filesystem::path(path).lexically_normal().string();
}

// Every address of a family and a port; our IPv6 sockets take no IPv4. Empty for other kinds.
std::string wildcard_of(const std::string& address) {
  if (listener_kind(address) != ListenerKind::kTcp) return {};
  return (address.starts_with('[') ? "[::]" : "0.0.0.0") + address.substr(address.rfind(':'));
}

// Why the first cannot be listened on beside the second.
std::string clash(const Claim& claim, const Claim& other) {
  if (same_address(claim.address) == same_address(other.address)) {
    return in_quotes(claim.address) + " is the address of " + other.path + " already";
  }
  const std::string its = in_quotes(other.address) + " of " + other.path;
  if (claim.address == wildcard_of(claim.address)) {
    return in_quotes(claim.address) + " takes every address of its port, also " + its;
  }
  return in_quotes(claim.address) + " is taken already by " + its +
         ", which takes every address of its port";
}

// Who listens where.
class AddressOwners {
 public:
  // Null, and it is the claim's from now on; else who is in its way.
  const Claim* add(const Claim& claim) {
    const std::string wildcard = wildcard_of(claim.address);
    const Claim* other = find(by_address_, same_address(claim.address));
    if (other == nullptr && !wildcard.empty()) {
      other = find(claim.address == wildcard ? by_port_ : by_address_, wildcard);
    }
    if (other != nullptr) return other;
    by_address_.emplace(same_address(claim.address), claim);
    if (!wildcard.empty()) by_port_.emplace(wildcard, claim);
    return nullptr;
  }

 private:
  using Claims = std::map<std::string, Claim>;
  static const Claim* find(const Claims& claims, const std::string& key) {
    const auto at = claims.find(key);
    return at == claims.end() ? nullptr : &at->second;
  }

  Claims by_address_;
  Claims by_port_;  // by the wildcard; the first of each
};

class Validator {
 public:
  Validator(const Config& config, const SourceMap& sources)
      : config_(config),
        sources_(sources),
        all_names_known_(
            !sources.faulty("upstreams") &&
            std::ranges::none_of(config.upstreams, &std::string::empty, &UpstreamSettings::name)) {}

  std::vector<Fault> run() {
    check_listen_addresses();
    check_upstream_names();
    check_patterns();
    check_ttls();
    check_shutdown();
    check_room_for_warm();
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) check_listener(i);
    for (std::size_t i = 0; i < config_.upstreams.size(); ++i) check_policy(i);
    return std::move(faults_);
  }

 private:
  void check_listen_addresses();
  void check_admin_address(const std::string& key, const std::string& address,
                           AddressOwners& owners);
  void check_upstream_names();
  void check_patterns();
  void check_listener(std::size_t index);
  void check_reference(const std::string& path, const std::string& name);
  std::vector<std::string> item_paths(const std::string& list, std::size_t count) const;
  void check_base_url(std::size_t index);
  void check_policy(std::size_t index);
  void check_pool(std::size_t index);
  void check_warm(std::size_t index);
  void check_room_for_warm();
  void check_most(std::size_t index, std::string_view key, std::string_view most_key,
                  std::uint32_t value, std::uint32_t most);
  void check_certificate(std::size_t index);
  void check_dns(std::size_t index);
  void check_dns(const Limit& resolve, const std::string& resolve_path);
  void check_rate(std::size_t index);
  void check_ttls();
  void check_shutdown();

  void fault(const std::string& path, std::string what) {
    faults_.push_back({sources_.at(path), path, std::move(what)});
  }
  const UpstreamSettings* find_upstream(const std::string& name) const {
    const auto at = names_.find(name);
    return at == names_.end() ? nullptr : &config_.upstreams[at->second];
  }
  bool is_set(std::size_t upstream, std::string_view key) const {
    return !policy_path(sources_, upstream, key).empty();
  }
  bool refused(std::size_t upstream, std::string_view key) const {
    return sources_.faulty(policy_path(sources_, upstream, key));
  }

  const Config& config_;
  const SourceMap& sources_;
  const bool all_names_known_;
  std::map<std::string_view, std::size_t> names_;  // of upstreams
  std::vector<Fault> faults_;
};

void Validator::check_listen_addresses() {
  AddressOwners owners;
  for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
    const std::string& address = config_.listeners[i].address;
    const std::string path = listener_path(i, "address");
    if (has_free_port(address) || sources_.faulty(path) || sources_.faulty(listener_path(i))) {
      continue;
    }
    const Claim claim{path, address};
    if (const Claim* other = owners.add(claim)) fault(path, clash(claim, *other));
  }
  check_admin_address("admin.address", config_.admin.address, owners);
  check_admin_address("admin.public_address", config_.admin.public_address, owners);
}

void Validator::check_admin_address(const std::string& key, const std::string& address,
                                    AddressOwners& owners) {
  if (address.empty() || has_free_port(address) || sources_.faulty(key)) return;
  const Claim claim{key, address};
  const Claim* other = owners.add(claim);
  if (other == nullptr) return;
  const bool is_set = sources_.has(key);  // else the other's line is the one to look at
  fault(is_set ? key : other->path, is_set ? clash(claim, *other) : clash(*other, claim));
}

void Validator::check_upstream_names() {
  for (std::size_t i = 0; i < config_.upstreams.size(); ++i) {
    const std::string& name = config_.upstreams[i].name;
    if (name.empty()) continue;
    const auto [owner, is_new] = names_.try_emplace(name, i);
    if (is_new) continue;
    fault(upstream_path(i, "name"),
          in_quotes(name) + " is the name of " + upstream_path(owner->second) + " already");
  }
}

void Validator::check_patterns() {
  std::map<std::string_view, std::string> owners;
  for (std::size_t i = 0; i < config_.upstreams.size(); ++i) {
    const auto& hosts = config_.upstreams[i].hosts;
    const auto paths = item_paths(upstream_path(i, "hosts"), hosts.size());
    for (std::size_t k = 0; k < hosts.size(); ++k) {
      const auto [owner, is_new] = owners.try_emplace(hosts[k], paths[k]);
      if (is_new) continue;
      fault(paths[k], in_quotes(hosts[k]) + " is claimed by " + owner->second + " already");
    }
  }
}

// The paths of a list's items that were taken; refused ones shift the others in the settings.
std::vector<std::string> Validator::item_paths(const std::string& list, std::size_t count) const {
  std::vector<std::string> paths;
  for (std::size_t i = 0; paths.size() < count; ++i) {
    std::string path = list + '[' + std::to_string(i) + ']';
    if (!sources_.faulty(path)) paths.push_back(std::move(path));
  }
  return paths;
}

void Validator::check_listener(std::size_t index) {
  const ListenerSettings& listener = config_.listeners[index];
  if (!listener.upstream.empty() && !listener.upstreams.empty()) {
    fault(listener_path(index, "upstreams"),
          "contradicts upstream (base-URL mode sends everything to one upstream; write one of "
          "the two)");
  }
  const auto paths = item_paths(listener_path(index, "upstreams"), listener.upstreams.size());
  for (std::size_t i = 0; i < paths.size(); ++i) check_reference(paths[i], listener.upstreams[i]);
  if (listener.upstream.empty()) return;
  check_reference(listener_path(index, "upstream"), listener.upstream);
  check_base_url(index);
}

void Validator::check_reference(const std::string& path, const std::string& name) {
  if (!all_names_known_ || find_upstream(name) != nullptr) return;
  std::vector<std::string> known;
  for (const auto& [other, at] : names_) {
    if (known.size() < kMostCompared) known.emplace_back(other);
  }
  const auto meant = nearest(name, known);
  fault(path, "no upstream is named " + in_quotes(name) +
                  (meant ? "; did you mean " + *meant + '?' : std::string()));
}

void Validator::check_base_url(std::size_t index) {
  const UpstreamSettings* upstream = find_upstream(config_.listeners[index].upstream);
  if (upstream == nullptr || !upstream->origin.empty()) return;
  const auto at = static_cast<std::size_t>(upstream - config_.upstreams.data());
  if (sources_.faulty(upstream_path(at, "origin")) || sources_.faulty(upstream_path(at, "hosts"))) {
    return;
  }
  if (std::ranges::count_if(upstream->hosts, is_exact) == 1) return;
  fault(listener_path(index, "upstream"),
        "upstream " + in_quotes(upstream->name) +
            " does not say where a request without its host goes (it needs origin, or exactly one "
            "exact host)");
}

void Validator::check_policy(std::size_t index) {
  check_pool(index);
  check_certificate(index);
  check_dns(index);
  check_rate(index);
}

void Validator::check_pool(std::size_t index) {
  const PoolSettings& pool = config_.upstreams[index].policy.pool;
  check_most(index, "pool.max_idle", "pool.max_connections", pool.max_idle, pool.max_connections);
  check_most(index, "pool.min_idle", "pool.max_idle", pool.min_idle, pool.max_idle);
  check_warm(index);
  // The default of max_connecting gives way, and so does `unlimited`.
  if (is_set(index, "pool.max_connecting") && is_set(index, "pool.max_connections") &&
      pool.max_connecting != kUnlimitedCount) {
    check_most(index, "pool.max_connecting", "pool.max_connections", pool.max_connecting,
               pool.max_connections);
  }
}

// What is opened before anybody asks must be known beforehand, and be kept.
void Validator::check_warm(std::size_t index) {
  const UpstreamSettings& upstream = config_.upstreams[index];
  if (upstream.policy.pool.min_idle == 0 || refused(index, "pool.min_idle")) return;
  const std::string path = policy_path(sources_, index, "pool.min_idle");
  const bool known = std::ranges::all_of(upstream.hosts, is_exact) || !upstream.origin.empty();
  if (!known && !sources_.faulty(upstream_path(index, "origin"))) {
    fault(path, "upstream " + in_quotes(upstream.name) +
                    " has hosts that are not known before a request names them (it needs origin, "
                    "exact hosts only, or min_idle: 0)");
  }
  if (!upstream.policy.pool.reuse) {
    fault(path,
          "contradicts reuse: false, which keeps no connection (min_idle: 0, or reuse: true)");
  }
}

// What is to be kept warm would never be up, and a daemon that waits for it never ready.
void Validator::check_room_for_warm() {
  std::uint64_t warm = 0;
  std::string first;  // min_idle
  for (std::size_t i = 0; i < config_.upstreams.size(); ++i) {
    const UpstreamSettings& upstream = config_.upstreams[i];
    if (upstream.policy.pool.min_idle == 0 || refused(i, "pool.min_idle")) continue;
    const std::size_t hosts = upstream.origin.empty() ? upstream.hosts.size() : 1;
    warm += std::uint64_t{upstream.policy.pool.min_idle} * hosts;
    if (first.empty()) first = policy_path(sources_, i, "pool.min_idle");
  }
  // `room`: nullopt is for any number.
  const auto check = [&](const std::string& key, Count room) {
    if (!room || warm <= *room || sources_.faulty(key)) return;
    fault(sources_.has(key) ? key : first,
          key + " is " + std::to_string(*room) + ", below the " + std::to_string(warm) +
              " connections that min_idle keeps over all hosts (at least as many)");
  };
  check("process.max_idle_connections", config_.process.max_idle_connections);
  check("process.max_upstream_connections", config_.process.max_upstream_connections);
}

void Validator::check_most(std::size_t index, std::string_view key, std::string_view most_key,
                           std::uint32_t value, std::uint32_t most) {
  if (value <= most || refused(index, key) || refused(index, most_key)) return;
  // The key that the upstream itself sets is the one to look at.
  const bool own_key = sources_.has(upstream_path(index, key));
  const bool own_most = sources_.has(upstream_path(index, most_key));
  const std::string_view blamed = own_most && !own_key ? most_key : key;
  const auto name = [](std::string_view path) {
    return std::string(path.substr(path.find('.') + 1));
  };
  fault(policy_path(sources_, index, blamed),
        name(key) + " is " + std::to_string(value) + ", above " + name(most_key) + ", " +
            std::to_string(most) + " (at most " + name(most_key) + ')');
}

void Validator::check_certificate(std::size_t index) {
  const TlsSettings& tls = config_.upstreams[index].policy.tls;
  if (tls.cert_file.empty() == tls.key_file.empty()) return;
  const bool has_cert = !tls.cert_file.empty();
  const std::string_view missing = has_cert ? "tls.key_file" : "tls.cert_file";
  if (refused(index, missing)) return;
  fault(policy_path(sources_, index, has_cert ? "tls.cert_file" : "tls.key_file"),
        "stands without " + std::string(missing) + " (both or neither)");
}

void Validator::check_dns(std::size_t index) {
  const UpstreamSettings& upstream = config_.upstreams[index];
  check_dns(upstream.policy.timeouts.resolve, policy_path(sources_, index, "timeouts.resolve"));
  for (std::size_t i = 0; i < upstream.routes.size(); ++i) {
    check_dns(upstream.routes[i].policy.timeouts.resolve,
              policy_path(sources_, index, i, "timeouts.resolve"));
  }
}

// `resolve_path`: where the limit was written; empty: nowhere.
void Validator::check_dns(const Limit& resolve, const std::string& resolve_path) {
  const Duration needed = config_.dns.attempt_timeout * config_.dns.attempts;
  if (!resolve || needed <= *resolve) return;
  if (sources_.faulty(resolve_path) || sources_.faulty("dns.attempts") ||
      sources_.faulty("dns.attempt_timeout")) {
    return;
  }
  const std::string path = !resolve_path.empty()                 ? resolve_path
                           : sources_.has("dns.attempt_timeout") ? "dns.attempt_timeout"
                                                                 : "dns.attempts";
  fault(path, "dns.attempts × dns.attempt_timeout is " + format_duration(needed) +
                  ", which cannot end within timeouts.resolve, " + format_duration(*resolve) +
                  " (at most timeouts.resolve)");
}

// A window alone may be meant for those who inherit it and set a size: upstreams and routes.
void Validator::check_rate(std::size_t index) {
  constexpr std::string_view kSize = "timeouts.min_rate.size";
  constexpr std::string_view kWindow = "timeouts.min_rate.window";
  if (is_set(index, kSize)) return;
  const auto check = [&](const std::string& window) {
    if (!sources_.has(window)) return;
    fault(window, "stands without " + std::string(kSize) + " (both, or min_rate: off)");
  };
  bool has_heir = false;
  for (std::size_t i = 0; i < config_.upstreams[index].routes.size(); ++i) {
    const bool sets_size = sources_.has(route_path(index, i, kSize));
    if (!sets_size) check(route_path(index, i, kWindow));
    has_heir = has_heir || sets_size;
  }
  if (!has_heir) check(upstream_path(index, kWindow));
}

void Validator::check_ttls() {
  const DnsSettings& dns = config_.dns;
  if (dns.min_ttl <= dns.max_ttl) return;
  if (sources_.faulty("dns.min_ttl") || sources_.faulty("dns.max_ttl")) return;
  fault(sources_.has("dns.min_ttl") ? "dns.min_ttl" : "dns.max_ttl",
        "min_ttl is " + format_duration(dns.min_ttl) + ", above max_ttl, " +
            format_duration(dns.max_ttl) + " (at most max_ttl)");
}

void Validator::check_shutdown() {
  const ShutdownSettings& shutdown = config_.shutdown;
  if (!shutdown.wait_for_clients || *shutdown.wait_for_clients <= shutdown.grace) return;
  if (sources_.faulty("shutdown.grace")) return;
  fault("shutdown.wait_for_clients",
        "wait_for_clients is " + format_duration(*shutdown.wait_for_clients) + ", above grace, " +
            format_duration(shutdown.grace) + " (at most grace, of which it is a part)");
}

// A listener that anybody on this machine may use to reach the upstream; a unix socket has a mode.
const ListenerSettings* open_listener(const Config& config, const UpstreamSettings& upstream) {
  const auto open = std::ranges::find_if(config.listeners, [&](const ListenerSettings& listener) {
    return listener_kind(listener.address) != ListenerKind::kUnix && listener.upstreams.empty() &&
           (listener.upstream.empty() || listener.upstream == upstream.name);
  });
  return open == config.listeners.end() ? nullptr : &*open;
}

}  // namespace

std::vector<Fault> validate(const Config& config, const SourceMap& sources) {
  std::vector<Fault> faults = Validator(config, sources).run();
  for (Fault& fault : find_listener_faults(config, sources)) faults.push_back(std::move(fault));
  for (Fault& fault : find_route_faults(config, sources)) faults.push_back(std::move(fault));
  return faults;
}

std::vector<Fault> find_risks(const Config& config, const SourceMap& sources) {
  std::vector<Fault> risks = find_listener_risks(config, sources);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const UpstreamSettings& upstream = config.upstreams[i];
    const auto risk = [&](std::string_view key, std::string what) {
      const std::string path = policy_path(sources, i, key);
      risks.push_back({sources.at(path), path, std::move(what)});
    };
    if (!upstream.policy.tls.verify) {
      risk("tls.verify", "certificates of upstream " + in_quotes(upstream.name) +
                             " are not verified: anybody in between may read and change all");
    }
    const ListenerSettings* open = open_listener(config, upstream);
    if (!upstream.policy.tls.cert_file.empty() && open != nullptr) {
      risk("tls.cert_file", "whoever reaches " + open->address +
                                " acts with the client certificate of upstream " +
                                in_quotes(upstream.name) + " (a listener's upstreams narrows it)");
    }
  }
  sort_and_unite(risks);
  return risks;
}

}  // namespace penstock
