// Which route a request of an admin address takes.
#include "server/admin_route.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

AdminRoutes routes() {
  return {{.path = "/livez", .scope = AdminScope::kPublic},
          {.path = "/pools"},
          {.method = Method::kPost, .path = "/pools/*/pause"}};
}

AdminMatch match(std::string_view target, Method method = Method::kGet,
                 AdminScope scope = AdminScope::kFull) {
  static const AdminRoutes kRoutes = routes();
  return match_route(kRoutes, scope, method, target);
}

TEST(AdminRoute, IsFoundByPathAndMethod) {
  EXPECT_EQ(match("/pools").route->path, "/pools");
  EXPECT_EQ(match("/pools?upstream=api").route->path, "/pools");
  EXPECT_EQ(match("/pools", Method::kHead).route->path, "/pools");
  for (const char* target : {"/", "", "*", "/pool", "/poolss", "/pools/", "//pools", "pools"})
    EXPECT_EQ(match(target).route, nullptr) << target;
}

TEST(AdminRoute, TellsTheMethodThatAPathTakes) {
  EXPECT_EQ(match("/pools", Method::kPost).allowed, Method::kGet);
  EXPECT_EQ(match("/pools/api/pause").allowed, Method::kPost);
  EXPECT_FALSE(match("/pools/api/stop", Method::kPost).allowed);
}

TEST(AdminRoute, TakesAnyNameWhereOneBelongs) {
  const AdminMatch found = match("/pools/pay%2Fments/pause?x", Method::kPost);
  ASSERT_NE(found.route, nullptr);
  EXPECT_EQ(found.names, std::vector<std::string>{"pay/ments"});
  for (const char* target : {"/pools//pause", "/pools/%/pause", "/pools/a/b/pause", "/pools/a"})
    EXPECT_EQ(match(target, Method::kPost).route, nullptr) << target;
}

TEST(AdminRoute, IsHiddenFromThePublicAddressUnlessMarked) {
  EXPECT_NE(match("/livez", Method::kGet, AdminScope::kPublic).route, nullptr);
  EXPECT_EQ(match("/pools", Method::kGet, AdminScope::kPublic).route, nullptr);
  EXPECT_FALSE(match("/pools/a/pause", Method::kGet, AdminScope::kPublic).allowed);
}

TEST(AdminRoute, AllAreNamed) {
  EXPECT_EQ(describe_routes(routes(), AdminScope::kFull),
            "GET /livez, GET /pools, POST /pools/NAME/pause");
  EXPECT_EQ(describe_routes(routes(), AdminScope::kPublic), "GET /livez");
}

}  // namespace
}  // namespace penstock
