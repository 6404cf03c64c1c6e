#include "http/start_line.h"

#include "http/chars.h"

namespace penstock {

namespace {

constexpr std::size_t kVersionBytes = kHttp1.size() + 1;

bool parse_version(std::string_view text, HttpVersion& version) {
  if (text.size() != kVersionBytes || !text.starts_with(kHttp1)) return false;
  version = text.back() == '1' ? HttpVersion::k11 : HttpVersion::k10;
  return text.back() == '0' || text.back() == '1';
}

// HTTP/2.0 and the like: well-formed, yet not ours.
bool is_other_version(std::string_view text) {
  return text.size() == kVersionBytes && text.starts_with("HTTP/") && chars::is_digit(text[5]) &&
         text[6] == '.' && chars::is_digit(text[7]);
}

Method identify_method(std::string_view name) {
  struct Known {
    std::string_view name;
    Method method;
  };
  constexpr Known kKnown[] = {
      {"GET", Method::kGet},         {"POST", Method::kPost},       {"HEAD", Method::kHead},
      {"PUT", Method::kPut},         {"DELETE", Method::kDelete},   {"PATCH", Method::kPatch},
      {"OPTIONS", Method::kOptions}, {"CONNECT", Method::kConnect}, {"TRACE", Method::kTrace},
  };
  for (const Known& known : kKnown) {
    if (name == known.name) return known.method;
  }
  return Method::kOther;
}

}  // namespace

Violation parse_request_line(std::string_view line, RequestHead& head) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos) return Violation::kRequestLine;
  const std::size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return Violation::kRequestLine;
  const std::string_view version = line.substr(second + 1);  // no version has a space
  head.method_name = line.substr(0, first);
  head.target = line.substr(first + 1, second - first - 1);
  if (!chars::is_token(head.method_name) || head.target.empty()) return Violation::kRequestLine;
  if (!parse_version(version, head.version)) {
    return is_other_version(version) ? Violation::kVersionUnsupported : Violation::kRequestLine;
  }
  head.method = identify_method(head.method_name);
  return Violation::kNone;
}

// The space behind the status is owed even to an empty reason, but many servers do not pay it.
Violation parse_status_line(std::string_view line, ResponseHead& head) {
  constexpr std::size_t kStatusAt = kVersionBytes + 1;
  constexpr std::size_t kStatusEnd = kStatusAt + 3;
  if (line.size() < kStatusEnd || line[kVersionBytes] != ' ' ||
      !parse_version(line.substr(0, kVersionBytes), head.version)) {
    return Violation::kStatusLine;
  }
  const std::string_view digits = line.substr(kStatusAt, 3);
  // RFC 9110 section 15: 100 to 599.
  if (digits[0] < '1' || digits[0] > '5' || !chars::is_digit(digits[1]) ||
      !chars::is_digit(digits[2])) {
    return Violation::kStatusLine;
  }
  head.status = static_cast<std::uint16_t>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 +
                                           (digits[2] - '0'));
  if (line.size() == kStatusEnd) return Violation::kNone;
  if (line[kStatusEnd] != ' ') return Violation::kStatusLine;
  head.reason = line.substr(kStatusEnd + 1);
  return Violation::kNone;
}

}  // namespace penstock
