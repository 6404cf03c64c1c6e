// Feeds bytes to a parser the way a session does, in whatever pieces, and writes down everything it
// said in one text: two runs were equal when their texts are.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/parser.h"

namespace penstock::test {

inline std::string to_text(const FieldList& fields) {
  std::string text;
  for (const Field& field : fields) {
    text.append("[").append(field.name).append("=").append(field.value).append("]");
  }
  return text;
}

inline std::string to_text(const BodyFraming& framing) {
  switch (framing.kind) {
    case FramingKind::kNone:
      return "none";
    case FramingKind::kLength:
      return "length " + std::to_string(framing.length);
    case FramingKind::kChunked:
      return "chunked";
    case FramingKind::kUntilClose:
      return "until close";
  }
  return "";
}

inline std::string to_text(const MessageHead& head) {
  return std::string(head.version == HttpVersion::k11 ? " 1.1 " : " 1.0 ") +
         (head.keep_alive ? "keep " : "close ") + to_text(head.framing) + to_text(head.fields);
}

inline std::string start_of(const RequestHead& head) {
  return std::string(head.method_name) + " " + std::string(head.target) +
         (head.expects_continue ? " expects" : "");
}

inline std::string start_of(const ResponseHead& head) {
  return std::to_string(head.status) + " " + std::string(head.reason);
}

struct Outcome {
  std::string log;  // each head, body and end, in order
  std::size_t heads = 0;
  std::size_t ends = 0;
  std::string body;    // of all messages
  std::string rest;    // bytes that were never consumed
  ParseFault fault{};  // status 0: none
};

// Takes events until the parser wants more. False after a fault.
template <typename Parser, typename Head>
bool take_events(Parser& parser, Head& head, std::string& pending, Outcome& run) {
  std::string body;
  while (true) {
    // An exact copy, so that a sanitizer sees a read past the input.
    const std::vector<char> input(pending.begin(), pending.end());
    const ParseStep step = parser.next({input.data(), input.size()}, head);
    const std::string content(step.body);
    pending.erase(0, step.consumed);
    switch (step.event) {
      case ParseEvent::kNeedMore:
        run.rest = pending;
        return true;
      case ParseEvent::kHead:
        ++run.heads;
        run.log += "head " + start_of(head) + to_text(static_cast<const MessageHead&>(head)) + "\n";
        break;
      case ParseEvent::kBody:
        run.body += content;
        break;
      case ParseEvent::kEnd:
        ++run.ends;
        run.log += "end after \"" + run.body + "\"" + to_text(head.trailers) + "\n";
        break;
      case ParseEvent::kFault:
        run.fault = parser.fault();
        run.log += "fault " + std::to_string(run.fault.status) + " " +
                   std::string(run.fault.reason) + "\n";
        return false;
    }
  }
}

// Feeds `in` cut at the given offsets.
template <typename Head, typename Parser>
Outcome feed(Parser& parser, std::string_view in, const std::vector<std::size_t>& cuts) {
  Outcome run;
  Head head;
  std::string pending;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::size_t to = i < cuts.size() ? cuts[i] : in.size();
    pending.append(in.substr(from, to - from));
    from = to;
    if (!take_events(parser, head, pending, run)) break;
  }
  return run;
}

inline Outcome run_request(std::string_view in, const ParseLimits& limits = {},
                           const std::vector<std::size_t>& cuts = {}) {
  RequestParser parser(limits);
  return feed<RequestHead>(parser, in, cuts);
}

inline Outcome run_response(std::string_view in, Method method = Method::kGet,
                            const ParseLimits& limits = {},
                            const std::vector<std::size_t>& cuts = {}) {
  ResponseParser parser(limits);
  parser.start(method, limits);
  return feed<ResponseHead>(parser, in, cuts);
}

// Every offset but the first and the last.
inline std::vector<std::size_t> every_byte(std::size_t size) {
  std::vector<std::size_t> cuts;
  for (std::size_t at = 1; at < size; ++at) cuts.push_back(at);
  return cuts;
}

}  // namespace penstock::test
