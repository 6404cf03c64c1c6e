// Which traceparent fields name a trace (W3C Trace Context, section 3.2), and which are passed by.
#include "http/trace_context.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock {
namespace {

constexpr std::string_view kValid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, IsTakenWhenValid) {
  EXPECT_TRUE(is_valid_traceparent(kValid));
  EXPECT_TRUE(is_valid_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"));
}

TEST(Traceparent, OfALaterVersionMayBeLonger) {
  std::string later(kValid);
  later[1] = '1';
  EXPECT_TRUE(is_valid_traceparent(later));
  EXPECT_TRUE(is_valid_traceparent(later + "-what-comes-then"));
  EXPECT_FALSE(is_valid_traceparent(later + "0"));
}

TEST(Traceparent, IsPassedByWhenBroken) {
  for (const std::string_view broken :
       {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    EXPECT_FALSE(is_valid_traceparent(broken)) << broken;
  }
}

TEST(Traceparent, OfARequestIsTheOnlyOne) {
  FieldList fields;
  EXPECT_EQ(trace_parent(fields), "");
  fields.add("Accept", "*/*");
  fields.add("TraceParent", kValid);
  EXPECT_EQ(trace_parent(fields), kValid);
  fields.add("traceparent", kValid);
  EXPECT_EQ(trace_parent(fields), "");
}

TEST(Traceparent, OfARequestIsNoneWhenBroken) {
  FieldList fields;
  fields.add("traceparent", "00-1-2-3");
  EXPECT_EQ(trace_parent(fields), "");
}

}  // namespace
}  // namespace penstock
