// Any text: what is taken for an authority is its own canonical form's equal, and no name in it is
// what the C library takes for an address; a target's path is a piece of the target, and the URL
// made of its parts reads the same again.
#include <arpa/inet.h>

#include <string>

#include "fuzz/check.h"
#include "http/chars.h"
#include "http/target.h"

namespace penstock::fuzz {
namespace {

// Who resolves the name later must not see an address in it: inet_aton() takes all the old forms.
void check_kind(const Authority& authority) {
  in_addr v4;
  in6_addr v6;
  const char* const host = authority.host.c_str();
  FUZZ_CHECK((inet_pton(AF_INET6, host, &v6) == 1) == (authority.kind == HostKind::kIpv6));
  FUZZ_CHECK((inet_pton(AF_INET, host, &v4) == 1) == (authority.kind == HostKind::kIpv4));
  if (authority.kind == HostKind::kName) FUZZ_CHECK(inet_aton(host, &v4) == 0);
}

void check_name(std::string_view host) {
  FUZZ_CHECK(host.size() <= 253);
  while (true) {
    const std::string_view label = host.substr(0, host.find('.'));
    FUZZ_CHECK(!label.empty() && label.size() <= 63);
    FUZZ_CHECK(label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == label.npos);
    if (label.size() == host.size()) return;
    host.remove_prefix(label.size() + 1);
  }
}

void check_authority(std::string_view text) {
  Authority once;
  if (parse_authority(text, once)) return;
  FUZZ_CHECK(!once.port || *once.port != 0);
  check_kind(once);
  if (once.kind == HostKind::kName) check_name(once.host);
  const std::string canonical = once.to_string(0);
  Authority twice;
  FUZZ_CHECK(!parse_authority(canonical, twice));
  FUZZ_CHECK(twice.to_string(0) == canonical);
  FUZZ_CHECK(twice.kind == once.kind && twice.port == once.port);
  for (char c : canonical) FUZZ_CHECK(c > ' ' && c < 0x7f && chars::lower(c) == c);
}

// The parts of a URL, put together, are the URL that was understood.
void check_url(const Target& target, Method method) {
  RequestHead head;
  head.method = method;
  const bool asterisk = target.path_and_query == "*";
  const std::string url = std::string(target.https ? "https://" : "http://") +
                          target.authority.to_string(0) + (target.needs_slash ? "/" : "") +
                          (asterisk ? "" : std::string(target.path_and_query));
  head.target = url;
  Target again;
  FUZZ_CHECK(!parse_target(head, again));
  FUZZ_CHECK(again.https == target.https && again.form == TargetForm::kAbsolute);
  FUZZ_CHECK(again.authority.to_string(0) == target.authority.to_string(0));
  FUZZ_CHECK(again.needs_slash == false || asterisk);
}

void check_target(std::string_view text, Method method) {
  RequestHead head;
  head.method = method;
  head.target = text;
  Target target;
  if (parse_target(head, target)) return;
  FUZZ_CHECK((target.form == TargetForm::kAuthority) == (method == Method::kConnect));
  if (target.form == TargetForm::kAuthority) {
    FUZZ_CHECK(target.authority.port.has_value());
    return;
  }
  const std::string path = (target.needs_slash ? "/" : "") + std::string(target.path_and_query);
  FUZZ_CHECK(path.starts_with('/') || (path == "*" && method == Method::kOptions));
  FUZZ_CHECK(path.find('#') == std::string::npos);
  FUZZ_CHECK(path == "*" || text.find(target.path_and_query) != std::string_view::npos);
  if (target.form == TargetForm::kAbsolute) check_url(target, method);
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
