#include "config/identity.h"

#include <string_view>

namespace penstock {
namespace {

// FNV-1a, each part preceded by its length so that no two lists of parts read the same.
class ContentHash {
 public:
  void add(std::string_view bytes) {
    add(std::uint64_t{bytes.size()});
    for (const char c : bytes) step(static_cast<unsigned char>(c));
  }
  void add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) step(static_cast<unsigned char>(number >> shift));
  }
  std::uint64_t value() const { return state_; }

 private:
  void step(unsigned char byte) {
    state_ ^= byte;
    state_ *= 0x100000001b3;
  }
  std::uint64_t state_ = 0xcbf29ce484222325;
};

bool trusts_system(const UpstreamPolicy& policy) {
  return policy.scheme != SchemeMode::kHttp && policy.tls.verify && policy.ca_pem.empty();
}

}  // namespace

std::uint64_t identity_hash(const UpstreamSettings& upstream, std::string_view system_cas) {
  const UpstreamPolicy& policy = upstream.policy;
  const TlsSettings& tls = policy.tls;
  ContentHash hash;
  hash.add(static_cast<std::uint64_t>(policy.scheme));
  for (const std::string_view text :
       {std::string_view(upstream.origin), std::string_view(policy.connect_to),
        std::string_view(policy.source_address), std::string_view(tls.server_name),
        std::string_view(policy.ca_pem), std::string_view(policy.extra_ca_pem),
        std::string_view(policy.cert_pem), std::string_view(policy.key_pem)}) {
    hash.add(text);
  }
  hash.add(static_cast<std::uint64_t>(tls.min_version));
  hash.add(std::uint64_t{tls.verify});
  hash.add(std::uint64_t{tls.session_cache});
  if (trusts_system(policy)) hash.add(system_cas);
  return hash.value();
}

}  // namespace penstock
