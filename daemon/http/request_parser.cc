#include "http/grammar.h"
#include "http/message_reader.h"
#include "http/parser.h"
#include "http/semantics.h"
#include "http/start_line.h"

namespace penstock {

namespace {

// The first byte of another protocol's greeting: no request begins with it.
Violation other_protocol(char first) {
  if (first == 0x16) return Violation::kTlsSpoken;
  if (first == 0x05 || first == 0x04) return Violation::kSocksSpoken;
  return Violation::kNone;
}

}  // namespace

struct RequestParser::Impl : MessageReader {
  Impl() : MessageReader(Side::kRequest) {}

  void restart(const ParseLimits& limits, bool empty_line_seen) {
    start(limits);
    empty_line_seen_ = empty_line_seen;
  }

  ParseStep next(std::string_view in, RequestHead& head) {
    if (state_ == State::kBetween) return read_first(in, head);
    if (state_ == State::kHead) return read_head(in, head);
    return read_on(in, head);
  }

 private:
  // RFC 9112 section 2.2: one empty line before the request line is forgiven.
  ParseStep read_first(std::string_view in, RequestHead& head) {
    std::size_t skipped = 0;
    if (!in.empty() && in.front() == '\r') {
      if (empty_line_seen_) return refuse(Violation::kEmptyLines);
      if (in.size() == 1) return {ParseEvent::kNeedMore};
      if (in[1] != '\n') return refuse(Violation::kBareCr);
      empty_line_seen_ = true;
      skipped = 2;
      in.remove_prefix(skipped);
    }
    if (in.empty()) return {ParseEvent::kNeedMore, skipped};
    if (in.front() == '\r') return refuse(Violation::kEmptyLines);
    const Violation other = other_protocol(in.front());
    if (other != Violation::kNone) return refuse(other);
    begin_head(limits_.max_head_bytes);
    ParseStep step = read_head(in, head);
    if (step.event != ParseEvent::kFault) step.consumed += skipped;
    return step;
  }

  ParseStep read_head(std::string_view in, RequestHead& head) {
    if (ParseEvent event = scan_head(in); event != ParseEvent::kHead) return {event};
    head.clear();
    take_head(in, head);
    empty_line_seen_ = false;
    const Violation found = understand(head);
    return found == Violation::kNone ? end_head(head) : refuse(found);
  }

  Violation understand(RequestHead& head) {
    Violation found = parse_request_line(start_line(head), head);
    if (found != Violation::kNone) return found;
    found = check_request_line(start_line_with_end(head));
    if (found != Violation::kNone) return found;
    found = split_head(head);
    if (found != Violation::kNone) return found;
    return judge_request(head, limits_.max_fields, host_);
  }

  bool empty_line_seen_ = false;
  Authority host_;
};

RequestParser::RequestParser(const ParseLimits& limits) : impl_(std::make_unique<Impl>()) {
  impl_->restart(limits, false);
}

RequestParser::~RequestParser() = default;

ParseStep RequestParser::next(std::string_view in, RequestHead& head) {
  return impl_->next(in, head);
}

bool RequestParser::idle() const { return impl_->between_messages(); }

const ParseFault& RequestParser::fault() const { return impl_->fault(); }

void RequestParser::reset(bool empty_line_seen) {
  impl_->restart(impl_->limits(), empty_line_seen);
}

}  // namespace penstock
