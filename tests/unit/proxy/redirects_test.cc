// Location and Set-Cookie on their way to an app whose side is http://, and what ends at the proxy.
#include "unit/proxy/proxy_fixture.h"

namespace penstock {
namespace {

class RedirectTest : public ProxyTest {
 protected:
  RedirectTest() {
    policy().scheme = SchemeMode::kHttps;
    UpstreamSettings alias = plain_upstream("alias", {"alias.penstock"});
    alias.origin = "real.test";
    alias.policy.scheme = SchemeMode::kHttps;
    config.upstreams.push_back(std::move(alias));
    config.upstreams.push_back(plain_upstream("plain", {"plain.test"}));
  }
  // The fields that the client gets when the upstream answers the target with `fields`.
  std::string relay(std::string_view target, std::string_view fields) {
    FakePeer& client =
        ask(join({"GET ", target, " HTTP/1.1\r\nHost: ", host_of(target), "\r\n\r\n"}));
    FakePeer& upstream = open_upstream();
    answer(upstream,
           join({"HTTP/1.1 302 Found\r\nDate: d\r\nContent-Length: 0\r\n", fields, "\r\n\r\n"}));
    upstream.send_eof();
    settle();
    return client.written();
  }
  std::string location(std::string_view target, std::string_view sent) {
    const std::string head = relay(target, join({"Location: ", sent}));
    const std::size_t begin = head.find("Location: ") + 10;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }

 private:
  // An origin-form request names its host in a field.
  static std::string_view host_of(std::string_view target) {
    return target.starts_with('/') ? "api.test" : "x.test";
  }
};

struct Case {
  std::string_view target, sent, got;
};

TEST_F(RedirectTest, ALocationThatLeadsBackComesBackThroughTheProxy) {
  const Case cases[] = {
      {"http://api.test/a", "https://api.test/b?c#d", "http://api.test/b?c#d"},
      {"http://api.test/a", "HTTPS://API.test.:443/b", "http://api.test/b"},
      {"http://api.test/a", "https://api.test", "http://api.test/"},
      {"http://api.test/a", "https://api.test?q", "http://api.test/?q"},
      {"http://api.test:443/a", "https://api.test/b", "http://api.test:443/b"},
      {"http://alias.penstock/a", "https://real.test/b", "http://alias.penstock/b"},
      {"http://alias.penstock/a", "https://alias.penstock/b", "http://alias.penstock/b"},
      {"/a", "https://api.test/b", "/b"},
      {"/a", "https://api.test", "/"},
  };
  for (const Case& c : cases) EXPECT_EQ(location(c.target, c.sent), c.got) << c.target;
}

TEST_F(RedirectTest, AllElsePasses) {
  const Case cases[] = {
      {"http://api.test/a", "https://other.test/b", ""},
      {"http://api.test/a", "https://api.test:8443/b", ""},
      {"http://api.test/a", "http://api.test/b", ""},
      {"http://api.test/a", "https://user@api.test/b", ""},
      {"http://api.test/a", "//api.test/b", ""},
      {"http://api.test/a", "/b", ""},
      {"http://api.test/a", "ftp://api.test/b", ""},
      {"http://api.test/a", "https://", ""},
      // the URL just asked: the app would come again and again
      {"http://api.test/a?b", "https://api.test/a?b", ""},
      {"http://api.test/a", "https://api.test/a#there", ""},
      {"http://api.test", "https://api.test/", ""},
      {"http://api.test?q", "https://api.test/?q", ""},
      {"/a", "https://api.test/a", ""},
      // a path alone would name a host
      {"/a", "https://api.test//other.test/b", ""},
      {"/a", "https://api.test/\\other.test/b", ""},
      {"/a", "https://api.test/\t/other.test/b", ""},
      // no TLS of ours, another port of theirs, or the app speaks of https itself
      {"http://plain.test/a", "https://plain.test/b", ""},
      {"http://api.test:8443/a", "https://api.test/b", ""},
      {"https://api.test/a", "https://api.test/b", ""},
  };
  for (const Case& c : cases) EXPECT_EQ(location(c.target, c.sent), c.sent) << c.target;
}

TEST_F(RedirectTest, CanBeLeftAsTheyCame) {
  policy().redirects = RedirectMode::kPass;
  EXPECT_EQ(location("http://api.test/a", "https://api.test/b"), "https://api.test/b");
}

TEST_F(RedirectTest, SecureCookiesPassUnlessToldOtherwise) {
  constexpr std::string_view kCookie = "Set-Cookie: a=b; Secure";
  EXPECT_NE(relay("http://api.test/", kCookie).find("Set-Cookie: a=b; Secure\r\n"),
            std::string::npos);
}

TEST_F(RedirectTest, SecureIsStrippedWhereTheAppSpeaksPlainHttp) {
  for (UpstreamSettings& upstream : config.upstreams) {
    upstream.policy.cookies = CookieMode::kStripSecure;
  }
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"a=b; Secure", "a=b"},
      {"a=b;secure;HttpOnly", "a=b;HttpOnly"},
      {"a=b; Path=/; SECURE ; Max-Age=3", "a=b; Path=/; Max-Age=3"},
      {"Secure", "Secure"},
      {"Secure; x", "Secure; x"},
      {"a=Secure; SecureX; Secure=1", "a=Secure; SecureX; Secure=1"},
      {"a=b; Secure;", "a=b"},
      {"", ""},
  };
  for (const auto& [sent, got] : cases) {
    const std::string head = relay("http://api.test/", join({"Set-Cookie: ", sent}));
    EXPECT_NE(head.find(join({"Set-Cookie: ", got, "\r\n"})), std::string::npos) << sent << head;
  }
  for (const std::string_view target : {"http://plain.test/", "https://api.test/"}) {
    EXPECT_NE(relay(target, "Set-Cookie: a=b; Secure").find("a=b; Secure\r\n"), std::string::npos);
  }
}

// What ends here

class OwnAnswerTest : public ProxyTest {};

TEST_F(OwnAnswerTest, OptionsForTheProxyItself) {
  const std::string answer =
      join({"HTTP/1.1 200 OK\r\nDate: Fri, 04 Oct 2024 00:00:00 GMT\r\n"
            "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT\r\n"
            "Content-Length: 0\r\n\r\n"});
  FakePeer& client = ask("OPTIONS * HTTP/1.1\r\nHost: anything.test\r\n\r\n");
  client.send("OPTIONS http://api.test/x HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n");
  settle();
  EXPECT_EQ(client.written(), answer + answer);
  EXPECT_EQ(dialer.started(), 0U);
}

TEST_F(OwnAnswerTest, TraceShowsTheRequestButNoCredentials) {
  FakePeer& client =
      ask("TRACE http://api.test/x HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nCookie: a=b\r\n"
          "Authorization: Basic eDp5\r\nProxy-Authorization: Basic eDp5\r\nX-One: 1\r\n"
          "Connection: close\r\n\r\n");
  EXPECT_TRUE(client.written().ends_with(
      "Content-Type: message/http\r\nContent-Length: 91\r\nConnection: close\r\n\r\n"
      "TRACE http://api.test/x HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nX-One: 1\r\n"
      "Connection: close\r\n\r\n"))
      << client.written();
  EXPECT_TRUE(client.write_shut());
}

TEST_F(OwnAnswerTest, MaxForwardsIsCountedDownForOptionsAndTraceOnly) {
  const std::tuple<std::string_view, std::string_view, std::string_view> cases[] = {
      {"OPTIONS", "7", "6"}, {"TRACE", "1", "0"},
      {"GET", "7", "7"},     {"POST", "0", "0"},
      {"GET", "x", "x"},     {"OPTIONS", "18446744073709551615", "18446744073709551614"}};
  for (const auto& [method, sent, got] : cases) {
    ask(join(
        {method, " http://api.test/x HTTP/1.1\r\nHost: x\r\nMAX-Forwards: ", sent, "\r\n\r\n"}));
    FakePeer& upstream = open_upstream();
    EXPECT_NE(upstream.written().find(join({"MAX-Forwards: ", got, "\r\n"})), std::string::npos)
        << method << upstream.written();
    upstream.send_eof();
    settle();
  }
}

}  // namespace
}  // namespace penstock
