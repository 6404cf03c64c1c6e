#include "config/policy_files.h"

#include <array>
#include <climits>
#include <map>
#include <string_view>

#include "config/file.h"

namespace penstock {
namespace {

struct PolicyFile {
  std::string_view key;
  std::string TlsSettings::*path;
  std::string UpstreamPolicy::*bytes;
  std::string_view label;  // what its PEM blocks are called
};

constexpr std::array kFiles = {
    PolicyFile{"tls.ca_file", &TlsSettings::ca_file, &UpstreamPolicy::ca_pem, "CERTIFICATE-----"},
    PolicyFile{"tls.extra_ca_file", &TlsSettings::extra_ca_file, &UpstreamPolicy::extra_ca_pem,
               "CERTIFICATE-----"},
    PolicyFile{"tls.cert_file", &TlsSettings::cert_file, &UpstreamPolicy::cert_pem,
               "CERTIFICATE-----"},
    PolicyFile{"tls.key_file", &TlsSettings::key_file, &UpstreamPolicy::key_pem,
               "PRIVATE KEY-----"},
};

bool holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// A file that is plainly the wrong one; whether its blocks are sound is for the TLS library.
std::string what_is_wrong_with(std::string_view pem, const PolicyFile& file) {
  const bool is_key = file.bytes == &UpstreamPolicy::key_pem;
  if (!holds(pem, "-----BEGIN ") || !holds(pem, file.label)) {
    return is_key ? "holds no private key in PEM" : "holds no certificate in PEM";
  }
  if (is_key && holds(pem, "ENCRYPTED")) return "is encrypted, and there is nobody to ask";
  return {};
}

class FileReader {
 public:
  FileReader(const std::string& folder, std::vector<ReadFile>& files)
      : folder_(folder), files_(files) {}

  // Many upstreams share a file through `defaults`: each is read once.
  const Parsed<std::string>& read(const std::string& path) {
    const auto known = read_.find(path);
    if (known != read_.end()) return known->second;
    const bool relative = !path.starts_with('/') && !folder_.empty();
    const std::string full = relative ? folder_ + '/' + path : path;
    auto bytes = read_file(full, kMaxFileBytes, false);
    files_.push_back({full, digest(bytes)});
    return read_.emplace(path, std::move(bytes)).first->second;
  }

 private:
  const std::string& folder_;
  std::vector<ReadFile>& files_;
  std::map<std::string, Parsed<std::string>> read_;
};

}  // namespace

void read_policy_files(Config& config, const SourceMap& sources, const std::string& folder,
                       std::vector<Fault>& faults, std::vector<ReadFile>& read) {
  FileReader reader(folder, read);
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    UpstreamPolicy& policy = config.upstreams[i].policy;
    for (const PolicyFile& file : kFiles) {
      const std::string& path = policy.tls.*file.path;
      if (path.empty()) continue;
      const Parsed<std::string>& bytes = reader.read(path);
      const std::string wrong = bytes ? what_is_wrong_with(*bytes, file) : bytes.error();
      if (wrong.empty()) {
        policy.*file.bytes = *bytes;
        continue;
      }
      const std::string key = policy_path(sources, i, file.key);
      faults.push_back({sources.at(key), key, in_quotes(path, PATH_MAX) + ' ' + wrong});
    }
  }
}

}  // namespace penstock
