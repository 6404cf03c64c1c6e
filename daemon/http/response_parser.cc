#include "http/grammar.h"
#include "http/message_reader.h"
#include "http/parser.h"
#include "http/semantics.h"
#include "http/start_line.h"

namespace penstock {

struct ResponseParser::Impl : MessageReader {
  Impl() : MessageReader(Side::kResponse) {}

  void restart(Method request_method, const ParseLimits& limits) {
    start(limits);
    request_method_ = request_method;
    head_bytes_left_ = limits.max_head_bytes;
  }

  ParseStep next(std::string_view in, ResponseHead& head) {
    if (state_ == State::kBetween) {
      if (in.empty()) return {ParseEvent::kNeedMore};
      begin_head(head_bytes_left_);
    }
    return state_ == State::kHead ? read_head(in, head) : read_on(in, head);
  }

  using MessageReader::finish;

 private:
  ParseStep read_head(std::string_view in, ResponseHead& head) {
    // An answer that is no HTTP may never have an empty line to wait for. Past the bound no byte
    // counts, however many came at once.
    const std::string_view bounded = in.substr(0, head_bytes_left_);
    if (scanner_.scanned() < kHttp1.size() &&
        !bounded.starts_with(kHttp1.substr(0, bounded.size()))) {
      return refuse(Violation::kNotHttp);
    }
    if (ParseEvent event = scan_head(in); event != ParseEvent::kHead)
      return overflown_by_interim(event) ? refuse(Violation::kInterimTooLarge) : ParseStep{event};
    head.clear();
    take_head(in, head);
    head_bytes_left_ -= head.head_bytes;
    const Violation found = understand(head);
    return found == Violation::kNone ? end_head(head) : refuse(found);
  }

  // Whether it was not the final head that was too large: 1xx took the better part of the bound.
  bool overflown_by_interim(ParseEvent event) const {
    const bool too_large = event == ParseEvent::kFault && fault().kind == FaultKind::kHeadTooLarge;
    return too_large && head_bytes_left_ < limits_.max_head_bytes / 2;
  }

  Violation understand(ResponseHead& head) {
    Violation found = parse_status_line(start_line(head), head);
    if (found != Violation::kNone) return found;
    found = split_head(head);
    if (found != Violation::kNone) return found;
    return judge_response(head, limits_.max_fields, request_method_);
  }

  Method request_method_ = Method::kGet;
  std::size_t head_bytes_left_ = 0;
};

ResponseParser::ResponseParser(const ParseLimits& limits) : impl_(std::make_unique<Impl>()) {
  impl_->restart(Method::kGet, limits);
}

ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&& other) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&& other) noexcept = default;

void ResponseParser::start(Method request_method, const ParseLimits& limits) {
  impl_->restart(request_method, limits);
}

ParseStep ResponseParser::next(std::string_view in, ResponseHead& head) {
  return impl_->next(in, head);
}

ParseStep ResponseParser::finish(ResponseHead&) { return impl_->finish(); }

const ParseFault& ResponseParser::fault() const { return impl_->fault(); }

}  // namespace penstock
