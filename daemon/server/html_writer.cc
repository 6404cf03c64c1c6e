#include "server/html_writer.h"

#include "telemetry/escape.h"

namespace penstock {

HtmlWriter& HtmlWriter::text(std::string_view anybodys) {
  const std::size_t begin = html_.size();
  html_.resize(begin + anybodys.size() * kMaxEscapedBytes);
  const char* const end = write_html_escaped(html_.data() + begin, anybodys);
  html_.resize(static_cast<std::size_t>(end - html_.data()));
  return *this;
}

std::string fill_in(std::string_view page, const HtmlParts& parts) {
  std::string out;
  for (std::size_t open = page.find("{{"); open != std::string_view::npos; open = page.find("{{")) {
    const std::size_t close = page.find("}}", open);
    out += page.substr(0, open);
    out += parts.at(page.substr(open + 2, close - open - 2));
    page.remove_prefix(close + 2);
  }
  return out.append(page);
}

}  // namespace penstock
