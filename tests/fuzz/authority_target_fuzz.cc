// Any text: what is taken for an authority is its own canonical form's equal, and a target's path
// is a piece of the target.
#include <string>

#include "fuzz/check.h"
#include "http/chars.h"
#include "http/target.h"

namespace penstock::fuzz {
namespace {

void check_authority(std::string_view text) {
  Authority once;
  if (parse_authority(text, once)) return;
  FUZZ_CHECK(!once.host.empty());
  FUZZ_CHECK(!once.port || *once.port != 0);
  const std::string canonical = once.to_string(0);
  Authority twice;
  FUZZ_CHECK(!parse_authority(canonical, twice));
  FUZZ_CHECK(twice.to_string(0) == canonical);
  FUZZ_CHECK(twice.kind == once.kind);
  for (char c : canonical) FUZZ_CHECK(c > ' ' && c < 0x7f && chars::lower(c) == c);
}

void check_target(std::string_view text, Method method) {
  RequestHead head;
  head.method = method;
  head.target = text;
  Target target;
  if (parse_target(head, target)) return;
  FUZZ_CHECK((target.form == TargetForm::kAuthority) == (method == Method::kConnect));
  if (target.form == TargetForm::kAuthority) return;
  const std::string path = (target.needs_slash ? "/" : "") + std::string(target.path_and_query);
  FUZZ_CHECK(path.starts_with('/') || (path == "*" && method == Method::kOptions));
  FUZZ_CHECK(path.find('#') == std::string::npos);
  FUZZ_CHECK(path == "*" || text.find(target.path_and_query) != std::string_view::npos);
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  // An exact copy, so that ASan sees a read past the end.
  const std::string copy(reinterpret_cast<const char*>(data), size);
  fuzz::check_authority(copy);
  for (Method method : {Method::kGet, Method::kOptions, Method::kConnect}) {
    fuzz::check_target(copy, method);
  }
  return 0;
}
