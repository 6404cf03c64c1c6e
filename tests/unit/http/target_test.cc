// The four forms of the request target, and what none of them is.
#include "http/target.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

std::optional<std::string_view> parse(std::string_view text, Method method, Target& out) {
  RequestHead head;
  head.method = method;
  head.target = text;
  return parse_target(head, out);
}

struct Accepted {
  std::string_view text;
  Method method;
  TargetForm form;
  bool https;
  std::string_view authority;  // with default port 0
  std::string_view path;       // with the slash that is needed
};

TEST(Target, KnowsTheFourForms) {
  constexpr auto kOrigin = TargetForm::kOrigin;
  constexpr auto kAbsolute = TargetForm::kAbsolute;
  const Accepted table[] = {
      {"/", Method::kGet, kOrigin, false, "", "/"},
      {"/a/b?c=d", Method::kGet, kOrigin, false, "", "/a/b?c=d"},
      {"//a", Method::kGet, kOrigin, false, "", "//a"},
      {"/a/../b//c", Method::kGet, kOrigin, false, "", "/a/../b//c"},
      {"/%41%2f?%3F", Method::kGet, kOrigin, false, "", "/%41%2f?%3F"},
      {"/a#b", Method::kGet, kOrigin, false, "", "/a"},
      {"/?a#b?c", Method::kGet, kOrigin, false, "", "/?a"},
      {"/http://other/", Method::kGet, kOrigin, false, "", "/http://other/"},
      {"http://host", Method::kGet, kAbsolute, false, "host", "/"},
      {"http://host/", Method::kGet, kAbsolute, false, "host", "/"},
      {"http://host?q", Method::kGet, kAbsolute, false, "host", "/?q"},
      {"http://host?", Method::kGet, kAbsolute, false, "host", "/?"},
      {"http://host#f", Method::kGet, kAbsolute, false, "host", "/"},
      {"http://host/a#f", Method::kGet, kAbsolute, false, "host", "/a"},
      {"http://Host.Example:8080/a?b", Method::kPost, kAbsolute, false, "host.example:8080",
       "/a?b"},
      {"HTTP://host/A", Method::kGet, kAbsolute, false, "host", "/A"},
      {"https://host/x", Method::kGet, kAbsolute, true, "host", "/x"},
      {"HttpS://host:443/x", Method::kGet, kAbsolute, true, "host:443", "/x"},
      {"http://[::1]:80/x", Method::kGet, kAbsolute, false, "[::1]:80", "/x"},
      {"http://host/@b", Method::kGet, kAbsolute, false, "host", "/@b"},
      {"http://host/a?u=http://b/", Method::kGet, kAbsolute, false, "host", "/a?u=http://b/"},
      {"http://host", Method::kOptions, kAbsolute, false, "host", "*"},
      {"http://host#f", Method::kOptions, kAbsolute, false, "host", "*"},
      {"http://host/", Method::kOptions, kAbsolute, false, "host", "/"},
      {"http://host?q", Method::kOptions, kAbsolute, false, "host", "/?q"},
      {"*", Method::kOptions, TargetForm::kAsterisk, false, "", "*"},
      {"host:443", Method::kConnect, TargetForm::kAuthority, false, "host:443", ""},
      {"[::1]:443", Method::kConnect, TargetForm::kAuthority, false, "[::1]:443", ""},
  };
  for (const Accepted& row : table) {
    SCOPED_TRACE(row.text);
    Target target;
    const auto fault = parse(row.text, row.method, target);
    ASSERT_FALSE(fault) << *fault;
    EXPECT_EQ(target.form, row.form);
    EXPECT_EQ(target.https, row.https);
    EXPECT_EQ((target.needs_slash ? "/" : "") + std::string(target.path_and_query), row.path);
    if (!row.authority.empty()) {
      EXPECT_EQ(target.authority.to_string(0), row.authority);
    }
  }
}

TEST(Target, RefusesWhatNamesNoServerOrNoPath) {
  const std::pair<std::string_view, Method> table[] = {
      {"", Method::kGet},
      {"#", Method::kGet},
      {"*", Method::kGet},
      {"*", Method::kPost},
      {"*x", Method::kOptions},
      {"**", Method::kOptions},
      {"path", Method::kGet},
      {"host:80", Method::kGet},
      {"?q", Method::kGet},
      {"http:", Method::kGet},
      {"http:/", Method::kGet},
      {"http:/host/", Method::kGet},
      {"http://", Method::kGet},
      {"http:///path", Method::kGet},
      {"http://?q", Method::kGet},
      {"http://:80/", Method::kGet},
      {"http://user@host/", Method::kGet},
      {"http://user:pw@host/", Method::kGet},
      {"http://host:0/", Method::kGet},
      {"http://host:/", Method::kGet},
      {"http://host:99999/", Method::kGet},
      {"http://127.1/", Method::kGet},
      {"http://host\\@other/", Method::kGet},
      {"http://host;x/", Method::kGet},
      {"http://ho%73t/", Method::kGet},
      {"ftp://host/", Method::kGet},
      {"ws://host/", Method::kGet},
      {"httpx://host/", Method::kGet},
      {"htt://host/", Method::kGet},
      {"://host/", Method::kGet},
      {"file:///etc/passwd", Method::kGet},
      {"host", Method::kConnect},
      {"host:", Method::kConnect},
      {"host:0", Method::kConnect},
      {"http://host:443", Method::kConnect},
      {"/", Method::kConnect},
      {"*", Method::kConnect},
      {"host:443/", Method::kConnect},
      {"user@host:443", Method::kConnect},
      {"host:443#f", Method::kConnect},
  };
  for (const auto& [text, method] : table) {
    Target target;
    EXPECT_TRUE(parse(text, method, target)) << text;
  }
}

TEST(Target, KeepsNothingOfTheOneBefore) {
  Target target;
  ASSERT_FALSE(parse("https://host:1?q", Method::kGet, target));
  ASSERT_FALSE(parse("http://host/", Method::kGet, target));
  EXPECT_FALSE(target.https);
  EXPECT_FALSE(target.needs_slash);
  EXPECT_FALSE(target.authority.port);
}

}  // namespace
}  // namespace penstock
