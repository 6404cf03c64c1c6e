// Pages in HTML: what anybody may have written does nothing, and what was put in is not read again.
#include "server/html_writer.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

std::string text(std::string_view anybodys) { return HtmlWriter().text(anybodys).take(); }

TEST(HtmlWriter, EscapesWhatIsNotOurs) {
  EXPECT_EQ(text("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;");
  EXPECT_EQ(text("\" onload='x' &amp;"), "&quot; onload=&#39;x&#39; &amp;amp;");
  EXPECT_EQ(text("/größe/日本"), "/größe/日本");
  EXPECT_EQ(text(""), "");
}

TEST(HtmlWriter, ShowsControlsAndBytesThatAreNoText) {
  EXPECT_EQ(text(std::string_view("a\0b\n\x7f", 5)), "a\\x00b\\x0a\\x7f");
  EXPECT_EQ(text("\xff\xc3(\xe2\x82"), "\\xff\\xc3(\\xe2\\x82");
  EXPECT_EQ(text("\xc2\x9b"), "\\xc2\\x9b");           // a C1 control
  EXPECT_EQ(text("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
}

TEST(HtmlWriter, LeavesMarkupAsItIs) {
  EXPECT_EQ(HtmlWriter().markup("<b>").number(7).text("<").markup("</b>").take(), "<b>7&lt;</b>");
}

TEST(FillIn, PutsEachPartInItsPlaces) {
  EXPECT_EQ(fill_in("<p>{{a}}</p>{{b}}{{a}}", {{"a", "1"}, {"b", "2"}}), "<p>1</p>21");
  EXPECT_EQ(fill_in("nothing", {}), "nothing");
}

TEST(FillIn, DoesNotLookIntoWhatItPutIn) {
  EXPECT_EQ(fill_in("{{a}}|{{b}}", {{"a", "{{b}}"}, {"b", "}}{{a"}}), "{{b}}|}}{{a");
}

}  // namespace
}  // namespace penstock
