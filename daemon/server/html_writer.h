// The text of an admin page in HTML.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace penstock {

// Markup is ours and goes in as it is; text may be anybody's and is escaped, so that it stands in
// an element or in a quoted attribute as it was.
class HtmlWriter {
 public:
  HtmlWriter& markup(std::string_view ours) {
    html_ += ours;
    return *this;
  }
  HtmlWriter& text(std::string_view anybodys);
  template <typename Int>
  HtmlWriter& number(Int value) {
    return markup(std::to_string(value));
  }
  std::string take() { return std::move(html_); }

 private:
  std::string html_;
};

// `page` with each {{name}} replaced by the markup of that name, which must be there; nothing is
// looked for in what was put in.
using HtmlParts = std::map<std::string_view, std::string>;
std::string fill_in(std::string_view page, const HtmlParts& parts);

}  // namespace penstock
