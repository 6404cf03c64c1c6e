// Names are known by any spelling, and nothing else is taken for them.
#include "http/field_list.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock {
namespace {

const std::pair<std::string_view, FieldId> kNames[] = {
    {"Accept", FieldId::kAccept},
    {"Authorization", FieldId::kAuthorization},
    {"Connection", FieldId::kConnection},
    {"Content-Length", FieldId::kContentLength},
    {"Cookie", FieldId::kCookie},
    {"Date", FieldId::kDate},
    {"Expect", FieldId::kExpect},
    {"Grpc-Timeout", FieldId::kGrpcTimeout},
    {"Host", FieldId::kHost},
    {"HTTP2-Settings", FieldId::kHttp2Settings},
    {"Idempotency-Key", FieldId::kIdempotencyKey},
    {"Keep-Alive", FieldId::kKeepAlive},
    {"Location", FieldId::kLocation},
    {"Max-Forwards", FieldId::kMaxForwards},
    {"Origin", FieldId::kOrigin},
    {"Proxy", FieldId::kProxy},
    {"Proxy-Authenticate", FieldId::kProxyAuthenticate},
    {"Proxy-Authorization", FieldId::kProxyAuthorization},
    {"Proxy-Connection", FieldId::kProxyConnection},
    {"Proxy-Status", FieldId::kProxyStatus},
    {"Sec-Fetch-Site", FieldId::kSecFetchSite},
    {"Set-Cookie", FieldId::kSetCookie},
    {"TE", FieldId::kTe},
    {"Traceparent", FieldId::kTraceparent},
    {"Trailer", FieldId::kTrailer},
    {"Transfer-Encoding", FieldId::kTransferEncoding},
    {"Upgrade", FieldId::kUpgrade},
    {"Via", FieldId::kVia},
    {"WWW-Authenticate", FieldId::kWwwAuthenticate},
    {"X-Penstock-Debug", FieldId::kXPenstockDebug},
};

TEST(FieldNames, AreKnownInAnyCase) {
  for (const auto& [name, id] : kNames) {
    std::string lower(name), upper(name);
    for (char& c : lower) c = static_cast<char>(std::tolower(c));
    for (char& c : upper) c = static_cast<char>(std::toupper(c));
    EXPECT_EQ(identify_field(name), id) << name;
    EXPECT_EQ(identify_field(lower), id) << lower;
    EXPECT_EQ(identify_field(upper), id) << upper;
  }
}

TEST(FieldNames, AreAllTested) {
  EXPECT_EQ(std::size(kNames), static_cast<std::size_t>(FieldId::kXPenstockDebug));
}

TEST(FieldNames, ThatDifferInOneByteAreOthers) {
  for (const auto& [name, id] : kNames) {
    for (std::size_t at = 0; at < name.size(); ++at) {
      std::string other(name);
      other[at] = '_';
      EXPECT_EQ(identify_field(other), FieldId::kOther) << other;
    }
    EXPECT_EQ(identify_field(std::string(name) + "s"), FieldId::kOther);
    EXPECT_EQ(identify_field(name.substr(1)), FieldId::kOther);
  }
  EXPECT_EQ(identify_field(""), FieldId::kOther);
}

TEST(FieldList, TrimsValuesAndKeepsOrder) {
  FieldList fields;
  fields.add("A", " \t1 2\t ");
  fields.add("Via", "x");
  fields.add("via", " ");
  ASSERT_EQ(fields.size(), 3u);
  EXPECT_EQ(fields.begin()->value, "1 2");
  EXPECT_EQ(fields.find(FieldId::kVia)->value, "x");
  EXPECT_EQ(fields.find("VIA")->value, "x");
  EXPECT_EQ((fields.begin() + 2)->value, "");
  EXPECT_EQ(fields.find("B"), nullptr);
  EXPECT_FALSE(fields.contains(FieldId::kHost));
}

TEST(Lists, HoldATokenAsAWholeElement) {
  struct Row {
    std::string_view list;
    bool found;
  };
  const Row table[] = {
      {"close", true},       {"Close", true},       {" close ", true}, {"a,close", true},
      {"a, close ,b", true}, {"a,\tclose\t", true}, {",,close", true}, {"close,", true},
      {"", false},           {",", false},          {"closed", false}, {"disclose", false},
      {"a close", false},    {"\"close\"", false},  {"clos", false},   {"close;q=1", false},
      {"keep-alive", false}, {"clo,se", false},
  };
  for (const Row& row : table) EXPECT_EQ(list_contains(row.list, "close"), row.found) << row.list;
}

}  // namespace
}  // namespace penstock
