// The next hop that forgives nothing: HTTP/1.1 read from RFC 9112's grammar alone, without a line
// of daemon/http, and only in the one spelling that penstock writes. What the proxy sends is read
// by it in the fuzz targets; whatever it does not take for a message is a bug of one of the two.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::fuzz {

struct StrictMessage {
  std::string method, target;  // of a request
  int status = 0;              // of a response
  std::string reason;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;
  bool until_close = false;  // the stream's end is the body's

  // The value of the first field of this name (lower case), null when there is none.
  const std::string* find(std::string_view name) const;
};

struct StrictReading {
  enum class Verdict { kWhole, kCut, kBad };  // kCut: it may become a message with more bytes
  Verdict verdict = Verdict::kBad;
  std::size_t consumed = 0;  // of a whole message: its bytes, none behind it
  StrictMessage message;
  std::string complaint;
};

StrictReading read_strictly_as_request(std::string_view text);
// `method`: of the request that it answers.
StrictReading read_strictly_as_response(std::string_view text, std::string_view method);

std::string lower_case(std::string_view text);

}  // namespace penstock::fuzz
