#include "net/system_cas.h"

#include <openssl/x509.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "net/digest.h"
#include "net/file_stamp.h"

namespace penstock {
namespace {

// As OpenSSL does, which also takes an empty one for what it says.
std::string from_environment(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : otherwise;
}

std::string line_of(const std::string& path) {
  const FileStamp stamp = stamp_of(path);
  std::ostringstream line;
  line << path << ' ' << stamp.device << ' ' << stamp.inode << ' ' << stamp.bytes << ' '
       << stamp.modified_ns << '\n';
  return line.str();
}

// In an order of their own: that of a directory may change with nothing else.
void add_entries(const std::string& directory, std::vector<std::string>& lines) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    lines.push_back(line_of(at->path().string()));
  }
}

}  // namespace

std::string system_ca_stamp() {
  std::vector<std::string> lines;
  lines.push_back(
      line_of(from_environment(X509_get_default_cert_file_env(), X509_get_default_cert_file())));
  std::istringstream directories(
      from_environment(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()));
  for (std::string directory; std::getline(directories, directory, ':');) {
    add_entries(directory, lines);
  }
  std::ranges::sort(lines);
  std::string all;
  for (const std::string& line : lines) all += line;
  return digest_of(all);
}

}  // namespace penstock
