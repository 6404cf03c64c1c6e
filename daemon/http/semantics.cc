#include "http/semantics.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "http/chars.h"

namespace penstock {

namespace {

constexpr std::uint64_t kMaxLength = std::numeric_limits<std::int64_t>::max();

// Those fields of a head that are about the message as such.
struct Facts {
  int hosts = 0;
  int lengths = 0;
  int codings = 0;
  std::string_view host{};
  std::string_view length{};
  std::string_view coding{};
  bool close = false;
  bool keep_alive = false;
  bool expects_continue = false;
  bool binds_connection = false;
  std::size_t options_bound = 0;
};

void note_connection(std::string_view value, Facts& facts) {
  // Almost always one of the two words alone.
  if (is_word(value, "keep-alive")) {
    facts.keep_alive = true;
    ++facts.options_bound;
    return;
  }
  facts.close = facts.close || list_contains(value, "close");
  facts.keep_alive = facts.keep_alive || list_contains(value, "keep-alive");
  facts.options_bound += static_cast<std::size_t>(std::count(value.begin(), value.end(), ',')) + 1;
}

bool authenticates_connection(std::string_view value) {
  bool found = false;
  for_each_element(value, [&](std::string_view element) {
    const std::string_view scheme = element.substr(0, element.find_first_of(" \t"));
    found =
        found || equals_ignoring_case(scheme, "ntlm") || equals_ignoring_case(scheme, "negotiate");
  });
  return found;
}

void note(const Field& field, Facts& facts) {
  if (field.id == FieldId::kHost) {
    ++facts.hosts;
    facts.host = field.value;
  } else if (field.id == FieldId::kContentLength) {
    ++facts.lengths;
    facts.length = field.value;
  } else if (field.id == FieldId::kTransferEncoding) {
    ++facts.codings;
    facts.coding = field.value;
  } else if (field.id == FieldId::kConnection) {
    note_connection(field.value, facts);
  } else if (field.id == FieldId::kExpect) {
    facts.expects_continue = facts.expects_continue || list_contains(field.value, "100-continue");
  } else if (field.id == FieldId::kAuthorization || field.id == FieldId::kWwwAuthenticate) {
    facts.binds_connection = facts.binds_connection || authenticates_connection(field.value);
  }
}

Facts gather(const FieldList& fields) {
  Facts facts;
  for (const Field& field : fields) {
    if (field.id != FieldId::kOther) note(field, facts);
  }
  return facts;
}

// 1*DIGIT below 2^63: no sign, no blank, no list, nothing that two readers could take differently.
std::optional<std::uint64_t> parse_length(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t length = 0;
  for (char c : text) {
    if (!chars::is_digit(c)) return std::nullopt;
    const std::uint64_t digit = static_cast<std::uint64_t>(c - '0');
    if (length > (kMaxLength - digit) / 10) return std::nullopt;
    length = length * 10 + digit;
  }
  return length;
}

Violation frame_coded(const MessageHead& head, const Facts& facts, BodyFraming& framing) {
  if (facts.lengths > 0) return Violation::kLengthAndCoding;
  if (head.version == HttpVersion::k10) return Violation::kCodingIn10;
  if (facts.codings > 1 || !equals_ignoring_case(facts.coding, "chunked"))
    return Violation::kCoding;
  framing = {FramingKind::kChunked, 0};
  return Violation::kNone;
}

// `otherwise`: what a message is that says nothing about its length.
Violation frame(MessageHead& head, const Facts& facts, FramingKind otherwise) {
  head.framing = {otherwise, 0};
  if (facts.codings > 0) return frame_coded(head, facts, head.framing);
  if (facts.lengths > 1) return Violation::kContentLengthRepeated;
  if (facts.lengths == 0) return Violation::kNone;
  const std::optional<std::uint64_t> length = parse_length(facts.length);
  if (!length) return Violation::kContentLength;
  head.framing = {FramingKind::kLength, *length};
  return Violation::kNone;
}

bool persists(const MessageHead& head, const Facts& facts) {
  if (facts.close) return false;
  return head.version == HttpVersion::k11 || facts.keep_alive;
}

// The usual request to a proxy: who reads the target judges that authority, no need to do it twice.
bool is_authority_of(std::string_view host, std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (!target.starts_with(kScheme) || !target.substr(kScheme.size()).starts_with(host))
    return false;
  target.remove_prefix(kScheme.size() + host.size());
  return target.empty() || target.front() == '/';
}

// RFC 9110 section 7.2. An empty Host is for targets that have no authority.
Violation judge_host(const RequestHead& head, const Facts& facts, Authority& scratch) {
  if (facts.hosts > 1) return Violation::kHostRepeated;
  if (facts.hosts == 0) {
    return head.version == HttpVersion::k11 ? Violation::kHostMissing : Violation::kNone;
  }
  if (facts.host.empty() || is_authority_of(facts.host, head.target)) return Violation::kNone;
  return parse_authority(facts.host, scratch) ? Violation::kHostInvalid : Violation::kNone;
}

// RFC 9112 section 6.3: whatever the fields say.
bool never_has_body(const ResponseHead& head, Method request_method) {
  if (request_method == Method::kHead || head.informational()) return true;
  if (request_method == Method::kConnect && head.status / 100 == 2) return true;
  return head.status == 204 || head.status == 304;
}

}  // namespace

Violation judge_request(RequestHead& head, std::size_t max_options, Authority& scratch) {
  const Facts facts = gather(head.fields);
  if (facts.options_bound > max_options) return Violation::kTooManyOptions;
  if (Violation found = judge_host(head, facts, scratch); found != Violation::kNone) return found;
  if (Violation found = frame(head, facts, FramingKind::kNone); found != Violation::kNone) {
    return found;
  }
  head.keep_alive = persists(head, facts);
  head.binds_connection = facts.binds_connection;
  // RFC 9110 section 10.1.1: not from a 1.0 client.
  head.expects_continue = facts.expects_continue && head.version == HttpVersion::k11;
  return Violation::kNone;
}

Violation judge_response(ResponseHead& head, std::size_t max_options, Method request_method) {
  const Facts facts = gather(head.fields);
  if (facts.options_bound > max_options) return Violation::kTooManyOptions;
  if (Violation found = frame(head, facts, FramingKind::kUntilClose); found != Violation::kNone) {
    return found;
  }
  if (never_has_body(head, request_method)) head.framing = {};
  head.binds_connection = facts.binds_connection;
  head.keep_alive = persists(head, facts) && head.framing.kind != FramingKind::kUntilClose;
  return Violation::kNone;
}

}  // namespace penstock
