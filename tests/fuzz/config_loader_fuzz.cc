// Any bytes as a configuration: a Config or faults with places in the text, never both, and nothing
// is thrown; the same text means the same again, and what it means can be explained.
#include <algorithm>
#include <string>

#include "config/diff.h"
#include "config/explain.h"
#include "config/file.h"
#include "config/identity.h"
#include "config/loader.h"
#include "fuzz/check.h"

namespace penstock {

// Instead of config/file.cc, which is not linked: whatever a file is called, no disk is touched.
Parsed<std::string> read_file(const std::string& path, std::size_t, bool) {
  if (path.ends_with("ca.pem"))
    return std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  if (path.ends_with("key.pem"))
    return std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  if (path.ends_with("text")) return std::string("neither");
  return Unexpected<std::string>{"cannot be read: there are no files here"};
}

namespace fuzz {
namespace {

void check_faults(const LoadResult& result, std::string_view text) {
  const auto lines = static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
  FUZZ_CHECK(result.ok() == result.faults.empty());
  for (const auto* faults : {&result.faults, &result.risks}) {
    FUZZ_CHECK(std::is_sorted(faults->begin(), faults->end(),
                              [](const Fault& a, const Fault& b) { return a.at < b.at; }));
    for (const Fault& fault : *faults) {
      FUZZ_CHECK(fault.at.line >= 0 && fault.at.line <= lines + 1);
      FUZZ_CHECK(!fault.what.empty());
      for (char c : to_string(fault, "f")) FUZZ_CHECK(c != '\n' && c != '\r' && c != '\0');
    }
  }
}

void check_meaning(const LoadResult& once, const LoadResult& twice) {
  FUZZ_CHECK(diff(*once.config, *twice.config).empty());
  FUZZ_CHECK(once.risk_lines() == twice.risk_lines());
  FUZZ_CHECK(!once.config->listeners.empty() && !once.config->upstreams.empty());
  for (std::size_t i = 0; i < once.config->upstreams.size(); ++i) {
    FUZZ_CHECK(identity_hash(once.config->upstreams[i]) ==
               identity_hash(twice.config->upstreams[i]));
  }
  for (const char* url : {"http://a.test/x?y", "https://b.test:8443", "127.0.0.1:80", "[::1]"}) {
    const Explanation explanation = explain(once, url, "POST");
    FUZZ_CHECK(explanation.error.empty());
    FUZZ_CHECK(!explanation.to_text().empty() && explanation.to_json().size() > 2);
  }
}

}  // namespace
}  // namespace fuzz
}  // namespace penstock

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const LoadResult once = load_text("f.yaml", text);
  const LoadResult twice = load_text("f.yaml", text);
  const AdminSettings admin = read_admin(text);
  if (once.ok()) FUZZ_CHECK(admin.address == once.config->admin.address);
  fuzz::check_faults(once, text);
  FUZZ_CHECK(once.faults == twice.faults);
  if (once.ok()) fuzz::check_meaning(once, twice);
  return 0;
}
