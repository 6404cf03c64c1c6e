#include "net/tls_errors.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "net/tls_ptr.h"

namespace penstock {
namespace {

constexpr std::size_t kMaxNameBytes = 160;
constexpr int kMaxNamesListed = 8;

using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslFree<GENERAL_NAMES_free>>;

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kMaxNameBytes));
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  if (text.size() > kMaxNameBytes) out += "...";
  return out;
}

std::string contents(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return size > 0 ? printable({data, static_cast<std::size_t>(size)}) : std::string();
}

std::string to_text(const X509_NAME* name) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  return contents(out.get());
}

std::string to_text(const ASN1_TIME* time) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  ASN1_TIME_print_ex(out.get(), time, ASN1_DTFLGS_ISO8601);
  return contents(out.get());
}

std::string address_text(const ASN1_OCTET_STRING* address) {
  const int size = ASN1_STRING_length(address);
  char text[INET6_ADDRSTRLEN] = "?";
  if (size == 4 || size == 16) {
    inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text, sizeof text);
  }
  return text;
}

std::string alternative_name(const GENERAL_NAME* name) {
  int type = 0;
  const void* value = GENERAL_NAME_get0_value(name, &type);
  if (type == GEN_IPADD) return address_text(static_cast<const ASN1_OCTET_STRING*>(value));
  if (type != GEN_DNS) return {};
  const auto* dns = static_cast<const ASN1_IA5STRING*>(value);
  return printable({reinterpret_cast<const char*>(ASN1_STRING_get0_data(dns)),
                    static_cast<std::size_t>(ASN1_STRING_length(dns))});
}

// "a.example, 192.0.2.1": what the certificate is good for; "no host name or address" for none.
std::string alternative_names(const X509* certificate) {
  const GeneralNamesPtr names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string out;
  int listed = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const std::string name = alternative_name(sk_GENERAL_NAME_value(names.get(), i));
    if (name.empty()) continue;
    if (++listed > kMaxNamesListed) return out + ", ...";
    out += (out.empty() ? "" : ", ") + name;
  }
  return out.empty() ? "no host name or address" : out;
}

std::string remedy(int reason, const X509* certificate) {
  switch (reason) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
      return "if it is to be trusted, name its CA in tls.extra_ca_file or tls.ca_file";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "it is for " + alternative_names(certificate) +
             "; if that is the right server, set tls.server_name";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "it was valid until " + to_text(X509_get0_notAfter(certificate)) +
             "; renew it, or set this machine's clock";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "it is valid from " + to_text(X509_get0_notBefore(certificate)) +
             "; check this machine's clock";
    case X509_V_ERR_INVALID_PURPOSE:
      return "its key usage does not allow a TLS server (extendedKeyUsage serverAuth)";
    default:
      return {};
  }
}

bool is_alert(int reason) { return reason > SSL_AD_REASON_OFFSET; }

// OpenSSL 3.0 has no words for the alerts that came with TLS 1.3 and ALPN.
std::string alert_name(int alert) {
  switch (alert) {
    case SSL_AD_MISSING_EXTENSION:
      return "missing extension";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "certificate required";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return "no application protocol";
    default:
      return SSL_alert_desc_string_long(alert);
  }
}

Error alert_error(int alert) {
  std::string detail =
      "the upstream sent TLS alert " + std::to_string(alert) + ", \"" + alert_name(alert) + '"';
  switch (alert) {
    case SSL_AD_CERTIFICATE_REQUIRED:
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNKNOWN_CA:
      detail +=
          "; it refuses our client certificate or the lack of one (tls.cert_file, tls.key_file)";
      break;
    case SSL_AD_UNRECOGNIZED_NAME:
      detail += "; it does not know the name it was asked for (tls.server_name)";
      break;
    case SSL_AD_PROTOCOL_VERSION:
      detail += "; it speaks no TLS version that tls.min_version allows";
      break;
    default:
      break;
  }
  return {.code = ErrorCode::kTlsAlertReceived, .detail = std::move(detail)};
}

Error protocol_error(std::string detail) {
  return {.code = ErrorCode::kTlsProtocolError, .detail = std::move(detail)};
}

// The first error is the cause; those after it are about what it led to.
unsigned long drain_queue() {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  return first;
}

std::string reason_text(unsigned long error) {
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "unknown error";
}

}  // namespace

std::string describe_certificate_fault(X509_STORE_CTX* verification, std::string_view server_name) {
  const int reason = X509_STORE_CTX_get_error(verification);
  std::string text = "the certificate of " + std::string(server_name) +
                     " is refused: " + X509_verify_cert_error_string(reason) + " at depth " +
                     std::to_string(X509_STORE_CTX_get_error_depth(verification));
  const X509* certificate = X509_STORE_CTX_get_current_cert(verification);
  if (certificate == nullptr) return text;
  text += ", subject \"" + to_text(X509_get_subject_name(certificate)) + "\", issuer \"" +
          to_text(X509_get_issuer_name(certificate)) + '"';
  const std::string advice = remedy(reason, certificate);
  return advice.empty() ? text : text + "; " + advice;
}

Error tls_error(std::string_view certificate_fault) {
  const unsigned long error = drain_queue();
  const int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
  if (is_alert(reason)) return alert_error(reason - SSL_AD_REASON_OFFSET);
  switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return {.code = ErrorCode::kTlsCertificateError, .detail = std::string(certificate_fault)};
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return {.code = ErrorCode::kConnectionTerminated,
              .detail = "unexpected eof: the upstream closed without close_notify"};
    case SSL_R_WRONG_VERSION_NUMBER:
      return protocol_error(
          "the upstream speaks plaintext on this port; if that is meant, set scheme: http");
    default:
      return protocol_error("TLS failed: " + reason_text(error));
  }
}

std::string openssl_reason() { return reason_text(drain_queue()); }

}  // namespace penstock
