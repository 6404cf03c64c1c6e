#include "fuzz/strict_reader.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace penstock::fuzz {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

// Thrown inside of this file only.
struct Cut {};
struct Bad {
  std::string complaint;
};

void require(bool condition, std::string_view otherwise) {
  if (!condition) throw Bad{std::string(otherwise)};
}

bool is_token(std::string_view text) {
  return !text.empty() && text.find_first_not_of(
                              "!#$%&'*+-.^_`|~0123456789"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "abcdefghijklmnopqrstuvwxyz") == text.npos;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::size_t position() const { return at_; }

  // A line without its CRLF; no other control but HT is in it.
  std::string_view line() {
    const std::string_view rest = text_.substr(at_);
    std::size_t end = 0;
    while (end < rest.size()) {
      const auto c = static_cast<unsigned char>(rest[end]);
      if (c == '\t' || (c >= 0x20 && c != 0x7f)) {
        ++end;
        continue;
      }
      require(c == '\r', "a control character or a bare LF");
      if (end + 1 == rest.size()) throw Cut{};
      require(rest[end + 1] == '\n', "a bare CR");
      at_ += end + 2;
      return rest.substr(0, end);
    }
    throw Cut{};
  }

  std::string_view bytes(std::size_t count) {
    if (text_.size() - at_ < count) throw Cut{};
    at_ += count;
    return text_.substr(at_ - count, count);
  }

  std::string_view rest() {
    const std::string_view left = text_.substr(at_);
    at_ = text_.size();
    return left;
  }

 private:
  const std::string_view text_;
  std::size_t at_ = 0;
};

Fields read_fields(Reader& in) {
  Fields fields;
  for (std::string_view line = in.line(); !line.empty(); line = in.line()) {
    const std::size_t colon = line.find(':');
    require(colon != line.npos && is_token(line.substr(0, colon)), "a field without a name");
    std::string_view value = line.substr(colon + 1);
    require(value.starts_with(' '), "no space behind the colon");
    value.remove_prefix(1);
    require(value.empty() || (!is_blank(value.front()) && !is_blank(value.back())),
            "white space around a value");
    fields.emplace_back(line.substr(0, colon), value);
  }
  return fields;
}

std::size_t count(const Fields& fields, std::string_view name) {
  return static_cast<std::size_t>(std::count_if(
      fields.begin(), fields.end(), [&](const auto& f) { return lower_case(f.first) == name; }));
}

void check_head(const StrictMessage& message) {
  const Fields& fields = message.fields;
  const std::size_t codings = count(fields, "transfer-encoding");
  require(codings + count(fields, "content-length") <= 1, "framed twice");
  require(codings == 0 || *message.find("transfer-encoding") == "chunked", "an odd coding");
  const std::string* length = message.find("content-length");
  require(length == nullptr || is_number(*length), "an odd length");
  require(count(fields, "connection") <= 1, "Connection twice");
  for (std::string_view name : {"proxy", "proxy-connection", "proxy-authorization",
                                "proxy-authenticate", "http2-settings"}) {
    require(count(fields, name) == 0, "a field that was for us");
  }
}

void check_options(const StrictMessage& message, std::string_view allowed) {
  const std::string* options = message.find("connection");
  if (options == nullptr) return;
  std::string_view rest = *options;
  while (!rest.empty()) {
    const std::string_view option = rest.substr(0, rest.find(','));
    require(allowed.find(" " + lower_case(option) + " ") != allowed.npos, "an odd option");
    rest.remove_prefix(std::min(option.size() + 2, rest.size()));
  }
}

std::string read_chunks(Reader& in) {
  std::string body;
  while (true) {
    const std::string_view line = in.line();
    std::uint64_t size = 0;
    const auto result = std::from_chars(line.data(), line.data() + line.size(), size, 16);
    require(result.ec == std::errc() && result.ptr == line.data() + line.size(), "a chunk line");
    require(line == "0" || line.front() != '0', "zeros before a chunk size");
    if (size == 0) return body;
    body += in.bytes(size);
    const std::string_view end = in.bytes(1);
    require(end == "\r", "a chunk without its end");
    require(in.bytes(1) == "\n", "a chunk without its end");
  }
}

void read_body(Reader& in, StrictMessage& message) {
  if (message.find("transfer-encoding") != nullptr) {
    message.body = read_chunks(in);
    message.trailers = read_fields(in);
    for (std::string_view name : {"transfer-encoding", "content-length", "host", "connection"}) {
      require(count(message.trailers, name) == 0, "a trailer that frames or routes");
    }
  } else if (const std::string* length = message.find("content-length")) {
    message.body = in.bytes(std::stoull(*length));
  } else if (message.until_close) {
    message.body = in.rest();
  }
}

void read_request(Reader& in, StrictMessage& message) {
  std::string_view line = in.line();
  message.method = line.substr(0, line.find(' '));
  require(is_token(message.method), "no method");
  require(line.ends_with(" HTTP/1.1"), "no HTTP/1.1 at the end of the request line");
  require(line.size() > message.method.size() + 10, "no target");
  message.target = line.substr(message.method.size() + 1, line.size() - message.method.size() - 10);
  require(message.target.find_first_of(" \t") == std::string::npos, "blanks in the target");
  require(message.target.front() == '/' || (message.target == "*" && message.method == "OPTIONS"),
          "an odd target");
  message.fields = read_fields(in);
  check_head(message);
  require(count(message.fields, "host") == 1 && lower_case(message.fields[0].first) == "host",
          "no single Host at the front");
  check_options(message, " te upgrade close ");
  read_body(in, message);
}

void read_response(Reader& in, std::string_view method, StrictMessage& message) {
  const std::string_view line = in.line();
  require(line.starts_with("HTTP/1.1 ") && line.size() >= 13, "no status line");
  require(is_number(line.substr(9, 3)) && line[12] == ' ', "no status");
  message.status = std::stoi(std::string(line.substr(9, 3)));
  require(message.status >= 100 && message.status <= 599, "an odd status");
  message.reason = line.substr(13);
  message.fields = read_fields(in);
  check_head(message);
  check_options(message, " keep-alive close upgrade ");
  const int status = message.status;
  const bool tunnel = method == "CONNECT" && status / 100 == 2;
  if (method == "HEAD" || status / 100 == 1 || status == 204 || status == 304 || tunnel) {
    require(message.find("transfer-encoding") == nullptr, "a coding of no body");
    return;
  }
  message.until_close =
      message.find("transfer-encoding") == nullptr && message.find("content-length") == nullptr;
  if (message.until_close) {
    const std::string* options = message.find("connection");
    require(options != nullptr && *options == "close", "an end by close that is not announced");
  }
  read_body(in, message);
}

template <typename Read>
StrictReading judge(std::string_view text, Read read) {
  StrictReading reading;
  Reader in(text);
  try {
    read(in, reading.message);
    reading.verdict = StrictReading::Verdict::kWhole;
    reading.consumed = in.position();
  } catch (const Cut&) {
    reading.verdict = StrictReading::Verdict::kCut;
  } catch (const Bad& bad) {
    reading.complaint = bad.complaint;
  }
  return reading;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

const std::string* StrictMessage::find(std::string_view name) const {
  for (const auto& [known, value] : fields) {
    if (lower_case(known) == name) return &value;
  }
  return nullptr;
}

StrictReading read_strictly_as_request(std::string_view text) {
  return judge(text, [](Reader& in, StrictMessage& message) { read_request(in, message); });
}

StrictReading read_strictly_as_response(std::string_view text, std::string_view method) {
  return judge(text,
               [&](Reader& in, StrictMessage& message) { read_response(in, method, message); });
}

}  // namespace penstock::fuzz
