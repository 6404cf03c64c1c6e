// The small texts that strangers send inside of well-formed messages, and the hosts file: lists,
// Keep-Alive, deadlines, redirects. What is understood of them survives being written again.
#include <algorithm>
#include <chrono>
#include <string>

#include "config/values.h"
#include "fuzz/check.h"
#include "http/keep_alive.h"
#include "net/hosts_file.h"
#include "proxy/app_deadline.h"
#include "proxy/redirects.h"

namespace penstock::fuzz {
namespace {

void check_list(std::string_view text) {
  for_each_element(text, [&](std::string_view element) {
    FUZZ_CHECK(!element.empty() && element.find(',') == std::string_view::npos);
    FUZZ_CHECK(element.data() >= text.data());
    FUZZ_CHECK(element.data() + element.size() <= text.data() + text.size());
    FUZZ_CHECK(list_contains(text, element));
  });
}

void check_keep_alive(std::string_view text) {
  FieldList once, twice;
  once.add("Keep-Alive", text);
  const KeepAlive told = read_keep_alive(once);
  std::string again = "x=1";
  if (told.timeout_seconds) again += ", timeout=" + std::to_string(*told.timeout_seconds);
  if (told.max_requests) again += ",max = " + std::to_string(*told.max_requests);
  twice.add("keep-alive", again);
  FUZZ_CHECK(read_keep_alive(twice) == told);
  // A parameter more can only make the promise smaller.
  once.add("Keep-Alive", "timeout=5, max=7");
  const KeepAlive less = read_keep_alive(once);
  FUZZ_CHECK(*less.timeout_seconds == std::min(told.timeout_seconds.value_or(5), 5U));
  FUZZ_CHECK(*less.max_requests == std::min(told.max_requests.value_or(7), 7U));
}

void check_deadline(std::string_view text) {
  FieldList fields;
  fields.add("X-Deadline", text);
  const auto deadline = read_deadline(fields, "x-deadline");
  if (deadline) {
    FUZZ_CHECK(*deadline && **deadline >= kShortestDuration && **deadline <= kLongestDuration);
    const auto again = parse_duration(format_duration(**deadline));
    FUZZ_CHECK(again && *again == **deadline);
  }
  fields.add("x-DEADLINE", "1s");
  FUZZ_CHECK(!read_deadline(fields, "x-deadline"));
}

// gRPC over HTTP/2: 1*8DIGIT and a unit. What we pass on never promises more than is left.
void check_grpc_timeout(std::string_view text) {
  const std::optional<Duration> timeout = parse_grpc_timeout(text);
  if (!timeout) return;
  FUZZ_CHECK(text.size() >= 2 && text.size() <= 9 && *timeout >= Duration::zero());
  FUZZ_CHECK(
      std::all_of(text.begin(), text.end() - 1, [](char c) { return c >= '0' && c <= '9'; }));
  const std::string passed = format_grpc_timeout(*timeout);
  const std::optional<Duration> again = parse_grpc_timeout(passed);
  FUZZ_CHECK(again && (*again <= *timeout || passed == "1m"));
}

void check_hosts_file(std::string_view text) {
  const HostsFile hosts = HostsFile::parse(text);
  std::string again;
  for (const std::string& name : hosts.names()) {
    const AddressList addresses = hosts.find(name);
    FUZZ_CHECK(!addresses.empty());
    for (const SocketAddress& address : addresses) again += address.ip() + "\t" + name + ".\n";
  }
  const HostsFile rewritten = HostsFile::parse(again);
  FUZZ_CHECK(rewritten.names() == hosts.names());
  for (const std::string& name : hosts.names()) {
    FUZZ_CHECK(rewritten.find(name) == hosts.find(name));
  }
}

// A Location comes as a field's value: no line end is in it, and none may come into it. What we
// make of it leads to the same host by http, and to no other.
void check_location(std::string_view text, TargetForm form) {
  Route route;
  route.form = form;
  route.authority.host = "api.test";
  route.choice = {.host = "api.test", .kind = HostKind::kName, .port = 443, .tls = true};
  route.path = "/a";
  std::string rewritten;
  rewrite_location(text, route, rewritten);
  if (rewritten.empty()) return;
  const std::string_view origin = text.substr(0, text.find_first_of("/?#", sizeof("https://") - 1));
  FUZZ_CHECK(equals_ignoring_case(origin, "https://api.test") ||
             equals_ignoring_case(origin, "https://api.test.") ||
             equals_ignoring_case(origin, "https://api.test:443") ||
             equals_ignoring_case(origin, "https://api.test.:443"));
  if (form == TargetForm::kAbsolute) {
    FUZZ_CHECK(rewritten.starts_with("http://api.test/"));
  } else {
    FUZZ_CHECK(rewritten.starts_with('/') && !rewritten.starts_with("//"));
  }
  FUZZ_CHECK(std::count(rewritten.begin(), rewritten.end(), '\n') <=
             std::count(text.begin(), text.end(), '\n'));
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::check_list(text);
  fuzz::check_keep_alive(text);
  fuzz::check_deadline(text);
  fuzz::check_grpc_timeout(text);
  fuzz::check_hosts_file(text);
  fuzz::check_location(text, TargetForm::kAbsolute);
  fuzz::check_location(text, TargetForm::kOrigin);
  return 0;
}
