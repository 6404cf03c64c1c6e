#include "support/test_ca.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace penstock {
namespace {

struct Issuer {
  X509* certificate;  // null: the new certificate signs itself
  EVP_PKEY* key;
};

void require(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("test certificate: ") + what);
}

PrivateKeyPtr make_key() { return PrivateKeyPtr(EVP_EC_gen("P-256")); }

std::string contents(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string to_pem(X509* certificate) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return contents(out.get());
}

std::string to_pem(EVP_PKEY* key) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return contents(out.get());
}

void set_name(X509* certificate, const std::string& common_name) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.data()),
                             static_cast<int>(common_name.size()), -1, 0);
}

void set_serial(X509* certificate) {
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1);
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  require(extension != nullptr, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

std::string alternative_names(const LeafOptions& options) {
  std::string names;
  for (const auto& name : options.dns_names) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  for (const auto& ip : options.ip_addresses) names += (names.empty() ? "IP:" : ",IP:") + ip;
  return names;
}

X509Ptr make_certificate(EVP_PKEY* key, const LeafOptions& options, Issuer issuer, bool is_ca) {
  X509Ptr certificate(X509_new());
  X509* raw = certificate.get();
  X509* signer = issuer.certificate != nullptr ? issuer.certificate : raw;
  X509_set_version(raw, X509_VERSION_3);
  set_serial(raw);
  set_name(raw, options.common_name);
  X509_set_issuer_name(raw, X509_get_subject_name(signer));
  X509_gmtime_adj(X509_getm_notBefore(raw), options.valid_from.count());
  X509_gmtime_adj(X509_getm_notAfter(raw), options.valid_until.count());
  X509_set_pubkey(raw, key);
  add_extension(raw, signer, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(raw, signer, NID_subject_key_identifier, "hash");
  add_extension(raw, signer, NID_authority_key_identifier, "keyid");
  add_extension(raw, signer, NID_key_usage, is_ca ? "critical,keyCertSign" : "digitalSignature");
  add_extension(raw, signer, NID_ext_key_usage, is_ca ? "" : options.extended_key_usage);
  add_extension(raw, signer, NID_subject_alt_name, alternative_names(options));
  require(X509_sign(raw, issuer.key, EVP_sha256()) > 0, "sign");
  return certificate;
}

TestIdentity make_leaf(const LeafOptions& options, Issuer issuer) {
  const PrivateKeyPtr key = make_key();
  if (issuer.key == nullptr) issuer.key = key.get();
  const X509Ptr leaf = make_certificate(key.get(), options, issuer, false);
  return {to_pem(leaf.get()), to_pem(key.get())};
}

}  // namespace

TestCa::TestCa(const std::string& common_name)
    : key_(make_key()),
      certificate_(
          make_certificate(key_.get(), {.common_name = common_name}, {nullptr, key_.get()}, true)),
      pem_(to_pem(certificate_.get())) {}

TestIdentity TestCa::issue(const LeafOptions& options) const {
  return make_leaf(options, {certificate_.get(), key_.get()});
}

TestIdentity TestCa::issue_by_intermediate(const LeafOptions& options,
                                           std::string* intermediate_pem) const {
  const PrivateKeyPtr key = make_key();
  const X509Ptr intermediate =
      make_certificate(key.get(), {.common_name = "penstock test intermediate"},
                       {certificate_.get(), key_.get()}, true);
  TestIdentity identity = make_leaf(options, {intermediate.get(), key.get()});
  const std::string pem = to_pem(intermediate.get());
  identity.cert_pem += pem;
  if (intermediate_pem != nullptr) *intermediate_pem = pem;
  return identity;
}

TestIdentity TestCa::self_signed(const LeafOptions& options) {
  return make_leaf(options, {nullptr, nullptr});
}

}  // namespace penstock
