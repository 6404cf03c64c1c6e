#include "net/name_servers.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

namespace penstock {

namespace {

constexpr int kDnsPort = 53;

Unexpected<Error> setup_error(int status, const std::string& what) {
  return Unexpected{Error{.code = ErrorCode::kProxyInternalError,
                          .source = ErrorSource::kInternal,
                          .detail = what + ": " + ares_strerror(status)}};
}

std::string joined(const std::vector<std::string>& parts) {
  std::string list;
  for (const std::string& part : parts) list += (list.empty() ? "" : ",") + part;
  return list;
}

// A channel that asks nothing: it reads resolv.conf, LOCALDOMAIN and RES_OPTIONS.
class SystemSettings {
 public:
  SystemSettings() = default;
  SystemSettings(const SystemSettings&) = delete;
  SystemSettings& operator=(const SystemSettings&) = delete;
  ~SystemSettings() {
    if (servers_ != nullptr) ares_free_data(servers_);
    if (saved_) ares_destroy_options(&options_);
    if (channel_ != nullptr) ares_destroy(channel_);
  }

  Result<void> read(const NameServerOptions& options) {
    std::string path = options.resolv_conf;
    ares_options settings{};
    settings.resolvconf_path = path.data();
    int status = ares_init_options(&channel_, &settings, ARES_OPT_RESOLVCONF);
    if (status != ARES_SUCCESS) return setup_error(status, "dns: the resolver cannot start");
    if (!options.servers.empty()) {
      const std::string servers = joined(options.servers);
      status = ares_set_servers_ports_csv(channel_, servers.c_str());
      if (status != ARES_SUCCESS) return setup_error(status, "dns.servers: " + servers);
    }
    int mask = 0;
    status = ares_save_options(channel_, &options_, &mask);
    saved_ = status == ARES_SUCCESS;
    if (saved_) status = ares_get_servers_ports(channel_, &servers_);
    if (status != ARES_SUCCESS) return setup_error(status, "dns: the resolver cannot start");
    return {};
  }

  const ares_addr_port_node* servers() const { return servers_; }
  int ndots() const { return options_.ndots; }
  std::vector<std::string> search() const {
    std::vector<std::string> domains;
    for (int i = 0; i < options_.ndomains; ++i) domains.emplace_back(options_.domains[i]);
    return domains;
  }

 private:
  ares_channel channel_ = nullptr;
  ares_options options_{};
  bool saved_ = false;
  ares_addr_port_node* servers_ = nullptr;
};

std::string to_string(const ares_addr_port_node& server) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(server.family, &server.addr, text, sizeof text);
  const int port = server.udp_port == 0 ? kDnsPort : server.udp_port;
  return '[' + std::string(text) + "]:" + std::to_string(port);
}

}  // namespace

Result<std::shared_ptr<NameServers>> NameServers::create(Loop& loop,
                                                         const NameServerOptions& options,
                                                         Delegate<void()> on_progress) {
  SystemSettings system;
  if (auto read = system.read(options); !read) return Unexpected{std::move(read).error()};
  std::shared_ptr<NameServers> servers(new NameServers);
  servers->search_ = system.search();
  servers->ndots_ = system.ndots();
  for (const auto* server = system.servers(); server != nullptr; server = server->next) {
    auto channel = CaresChannel::create(loop, *server, options.attempt_timeout, on_progress);
    if (!channel) return Unexpected{std::move(channel).error()};
    servers->channels_.push_back(*std::move(channel));
    servers->fingerprint_ += to_string(*server) + ' ';
  }
  if (servers->channels_.empty()) return setup_error(ARES_ENOTINITIALIZED, "dns: no name server");
  servers->fingerprint_ +=
      "search " + joined(servers->search_) + " ndots " + std::to_string(servers->ndots_);
  servers->tries_ = std::max<std::size_t>(options.attempts, servers->channels_.size());
  servers->time_limit_ = options.attempt_timeout * servers->tries_;
  return servers;
}

std::vector<std::string> NameServers::candidates(const std::string& host) const {
  if (host.ends_with('.')) return {host};
  std::vector<std::string> names;
  for (const std::string& domain : search_) {
    if (domain != "." && !domain.empty()) names.push_back(host + '.' + domain);
  }
  const bool as_is_first = std::ranges::count(host, '.') >= ndots_;
  names.insert(as_is_first ? names.begin() : names.end(), host);
  return names;
}

}  // namespace penstock
