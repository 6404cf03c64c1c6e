// A certificate authority made at run time, and the good and bad certificates it gives out.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "net/tls_ptr.h"

namespace penstock {

// A certificate with its chain, and its key, both PEM.
struct TestIdentity {
  std::string cert_pem;
  std::string key_pem;
};

struct LeafOptions {
  std::vector<std::string> dns_names{};
  std::vector<std::string> ip_addresses{};
  std::string common_name = "leaf";
  std::string extended_key_usage = "serverAuth";             // "" leaves the extension out
  std::chrono::seconds valid_from = std::chrono::hours(-1);  // from now
  std::chrono::seconds valid_until = std::chrono::hours(24);
};

class TestCa {
 public:
  explicit TestCa(const std::string& common_name = "penstock test CA");

  const std::string& pem() const { return pem_; }
  TestIdentity issue(const LeafOptions& options) const;
  // The leaf is signed by an intermediate CA, which comes with it in cert_pem and alone in
  // `intermediate_pem`.
  TestIdentity issue_by_intermediate(const LeafOptions& options,
                                     std::string* intermediate_pem = nullptr) const;
  static TestIdentity self_signed(const LeafOptions& options);

 private:
  PrivateKeyPtr key_;
  X509Ptr certificate_;
  std::string pem_;
};

}  // namespace penstock
