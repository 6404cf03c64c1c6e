#include "origin.h"

#include <algorithm>

#include "client.h"

namespace penstock::sim {

namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kSurplus = "what nobody asked for";

// The number of the request that is about to be written; 0: none.
std::uint64_t spot_id(std::span<const std::string_view> pieces) {
  std::string bytes;
  for (const std::string_view piece : pieces) {
    if (bytes.size() < 600) bytes += piece.substr(0, 600);
  }
  if (const std::uint64_t id = read_greeting(bytes, '~')) return id;
  const std::size_t at = bytes.find("X-Id: ");
  return at == std::string::npos ? 0 : std::strtoull(bytes.c_str() + at + 6, nullptr, 10);
}

}  // namespace

Origin::Origin(Stage& stage, Ledger& ledger, const Rules& rules, FakePeer& peer, Dialled dialled,
               std::uint32_t& connections_closed)
    : stage_(stage),
      ledger_(ledger),
      rules_(rules),
      peer_(peer),
      socket_(stage, peer, *this, dialled.worker),
      dialled_(std::move(dialled)),
      connections_closed_(connections_closed) {
  if (stage_.chance.one_in(8)) peer_.read_at_most(stage_.chance.between(20, 300));
  if (stage_.chance.one_in(10)) peer_.set_room(stage_.chance.below(200));
}

std::string Origin::name() const {
  return "connection " + std::to_string(dialled_.number) + " to " + dialled_.target.host;
}

// What comes

void Origin::on_offered(std::span<const std::string_view> pieces) {
  if (!at_boundary()) return;
  if (const std::uint64_t id = spot_id(pieces)) begin_request(id);
}

void Origin::begin_request(std::uint64_t id) {
  if (!ledger_.knows_request(id)) stage_.finding("a request that no client has sent");
  Request& request = ledger_.request(id);
  if (bound_to_ == 0) {
    ledger_.acquired(request);
  } else {
    request.given = true;
    ledger_.stop_waiting(request);  // its client's own: it was not given to anybody
  }
  asked_ = id;
  if (request.connect()) return;
  stage_.trace(name() + " is to serve " + std::to_string(id));
  if (socket_.consumed() > answer_end_ && served_ > 0)
    stage_.finding(name() + " serves again, and bytes behind its last answer were read");
  if (socket_.consumed() < answer_end_)
    stage_.finding(name() + " serves again before its last answer was read");
  if (dialled_.target.host != request.host || dialled_.target.port != request.port)
    stage_.finding(name() + " is to serve a request to " + request.host);
  if ((dialled_.target.tls != nullptr) != request.tls)
    stage_.finding(name() + " is of the wrong flavor for request " + std::to_string(id));
  if (bound_to_ != 0 && bound_to_ != request.client)
    stage_.finding(name() + " is another client's alone, and serves request " + std::to_string(id));
  if (!rules_.has_source_address(request, dialled_.target.source_address))
    stage_.finding(name() + " is of other settings than its request");
}

void Origin::on_written() {
  received_ += peer_.take_written();
  if (asked_ != 0) ledger_.written(ledger_.request(asked_), dialled_.number);
  if (tunnel_ != 0) {
    read_tunnel();
  } else {
    read_request();
  }
}

void Origin::read_request() {
  if (reading_ == 0) {
    if (const std::uint64_t id = read_greeting(received_, '~')) {
      become_tunnel(id);
      return;
    }
    const std::optional<Head> head = take_head(received_);
    if (!head) return;
    on_head(*head);
  }
  const std::string content = body_.take(received_);
  if (body_.broken()) stage_.finding("a request's chunks are malformed");
  if (!is_pattern(content, reading_, body_.taken() - content.size()))
    stage_.finding("a request's body has bytes of another message");
  if (!body_.done()) return;
  reading_ = 0;
  if (!received_.empty())
    stage_.finding(name() + " was sent bytes behind a request: " + received_.substr(0, 60));
}

void Origin::on_head(const Head& head) {
  if (asked_ == 0 || head_read_)
    stage_.finding("two requests at once on " + name() + ": " + head.start);
  const Request& request = ledger_.request(asked_);
  if (head.number("x-id") != asked_ || !head.start.starts_with(request.method + " "))
    stage_.finding("a request's head is not whole: " + head.start);
  head_read_ = true;
  reading_ = asked_;
  checked_ = false;
  ++served_;
  Framing framing = Framing::kNone;
  if (head.find("content-length") != nullptr) framing = Framing::kLength;
  if (head.has("transfer-encoding", "chunked")) framing = Framing::kChunked;
  body_ = BodyReader(framing, head.number("content-length"));
  if (framing == Framing::kLength && head.number("content-length") != request.length)
    stage_.finding("a request's length is wrong");
  planned_ = until_close_ = false;
  awaits_word_ = head.has("expect", "100-continue");
  early_ = framing != Framing::kNone && stage_.chance.one_in(10);
}

// What it answers

void Origin::act() {
  if (!peer_.open()) return;
  Chance& chance = stage_.chance;
  if (chance.one_in(6)) peer_.set_room(chance.one_in(4) ? chance.below(200) : FakePeer::kUnlimited);
  if (ended_) return;
  if (chance.one_in(60)) {
    end(chance.of({Ending::kClose, Ending::kReset}));
  } else if (tunnel_ != 0) {
    to_send_ += pattern(tunnel_, tunnel_sent_, 20);
    tunnel_sent_ += 20;
    send(to_send_.size());
  } else if (!to_send_.empty()) {
    send(chance.one_in(3) ? chance.between(1, 50) : to_send_.size());
  } else if (asked_ == 0) {
    act_idle();
  } else if (head_read_ && !planned_ && (body_.done() || early_)) {
    plan_answer();
  } else if (reading_ != 0 && awaits_word_ && !planned_) {
    awaits_word_ = false;
    if (!chance.one_in(4)) to_send_ += kContinue;
  } else if (chance.one_in(30)) {
    end(chance.of({Ending::kClose, Ending::kReset}));
  }
}

void Origin::act_idle() {
  switch (stage_.chance.below(40)) {
    case 0:
    case 1:
      end(Ending::kClose);
      return;
    case 2:
      end(Ending::kReset);
      return;
    case 3:
      speak_unasked();
      return;
    case 4:
    case 5:
    case 6:
    case 7:
      peer_.send_nothing();
      return;
    default:
      return;
  }
}

void Origin::plan_answer() {
  Chance& chance = stage_.chance;
  switch (chance.below(24)) {
    case 0:
      end(Ending::kClose);
      return;
    case 1:
      end(Ending::kReset);
      return;
    case 2:
      return;  // not yet
    case 3:
    case 4:
      write_answer(false);
      break_off();
      return;
    default:
      write_answer(false);
      if (chance.one_in(2)) send(to_send_.size());
      return;
  }
}

// `well`: nothing unusual.
void Origin::write_answer(bool well) {
  const Request& request = ledger_.request(asked_);
  planned_ = true;
  const Shape shape = draw_shape(request, well);
  answer_ = ledger_.add({.request = asked_, .length = shape.length});
  to_send_ = well ? std::string() : draw_interim(request);
  to_send_ += format_head(shape, request, well);
  body_begin_ = sent_ + to_send_.size();
  if (request.method != "HEAD") to_send_ += format_body(shape);
  behind_ = 0;
  cuts_ = false;
  until_close_ = shape.until_close;
  may_serve_again_ = !shape.closes;
  ending_ = shape.closes ? Ending::kClose : Ending::kNone;
  if (shape.status == 101) {
    become_tunnel(asked_);
  } else if (!well && !shape.closes && stage_.chance.one_in(25)) {
    to_send_ += kSurplus;
    behind_ = kSurplus.size();
  }
}

Origin::Shape Origin::draw_shape(const Request& request, bool well) {
  Chance& chance = stage_.chance;
  Shape shape;
  const bool switches = request.upgrade && !well && chance.one_in(2);
  shape.status = switches ? 101 : chance.of({200, 200, 200, 200, 204, 304, 404, 503});
  if (switches || shape.status == 204 || shape.status == 304) {
    shape.framing = Framing::kNone;
  } else {
    shape.framing = chance.one_in(3) ? Framing::kChunked : Framing::kLength;
    shape.length = chance.one_in(12) ? chance.below(80'000) : chance.below(300);
    shape.until_close = !well && chance.one_in(12);
  }
  if (shape.until_close) shape.framing = Framing::kUntilClose;
  shape.closes = shape.until_close || (!switches && !well && chance.one_in(12));
  return shape;
}

std::string Origin::format_head(const Shape& shape, const Request& request, bool well) {
  Chance& chance = stage_.chance;
  std::string head = "HTTP/1.1 " + std::to_string(shape.status) +
                     " Fine\r\nX-Id: " + std::to_string(asked_) +
                     "\r\nX-Answer: " + std::to_string(answer_) + "\r\n";
  if (shape.status == 101) return head + "Connection: upgrade\r\nUpgrade: echo\r\n\r\n";
  if (shape.closes) head += "Connection: close\r\n";
  if (!shape.closes && chance.one_in(10))
    head += "Connection: keep-alive\r\nKeep-Alive: timeout=3, max=2\r\n";
  if (!well && chance.one_in(30)) {
    head += "WWW-Authenticate: NTLM\r\n";
    bound_to_ = request.client;
  }
  if (shape.framing == Framing::kChunked) head += "Transfer-Encoding: chunked\r\n";
  if (shape.framing == Framing::kLength)
    head += "Content-Length: " + std::to_string(shape.length) + "\r\n";
  return head + "\r\n";
}

std::string Origin::format_body(const Shape& shape) {
  const std::string body = pattern(asked_, 0, shape.length);
  if (shape.framing != Framing::kChunked) return body;
  return chunked(body, stage_.chance.between(1, 9000));
}

std::string Origin::draw_interim(const Request& request) {
  Chance& chance = stage_.chance;
  std::string bytes;
  if (request.expects && !body_.done() && !chance.one_in(4)) bytes += kContinue;
  if (chance.one_in(12))
    bytes += "HTTP/1.1 103 Early Hints\r\nX-Id: " + std::to_string(asked_) + "\r\n\r\n";
  return bytes;
}

// Somewhere within the answer.
void Origin::break_off() {
  if (tunnel_ != 0) return;
  to_send_.resize(stage_.chance.below(to_send_.size() - behind_));
  behind_ = 0;
  cuts_ = true;
  ending_ = stage_.chance.of({Ending::kClose, Ending::kReset, Ending::kNone});
  send(to_send_.size());
}

void Origin::send(std::size_t bytes) {
  const std::size_t count = std::min(bytes, to_send_.size());
  peer_.send(std::string_view(to_send_).substr(0, count));
  to_send_.erase(0, count);
  sent_ += count;
  if (tunnel_ == 0 && !cuts_ && planned_ && asked_ != 0 && to_send_.size() <= behind_)
    finish_answer();
  if (to_send_.empty() && ending_ != Ending::kNone) end(ending_);
}

void Origin::finish_answer() {
  ledger_.answer(answer_).complete = true;
  answer_end_ = sent_ - (behind_ - to_send_.size());
  asked_ = 0;
  head_read_ = planned_ = false;
}

void Origin::end(Ending how) {
  if (ended_) return;
  stage_.trace(name() + (how == Ending::kReset ? " resets" : " closes"));
  ended_ = true;
  to_send_.clear();
  if (how == Ending::kClose && until_close_ && asked_ != 0 && sent_ >= body_begin_) {
    // Nobody can see that there should have been more.
    ledger_.answer(answer_).length = sent_ - body_begin_;
    ledger_.answer(answer_).complete = true;
  }
  if (how == Ending::kReset) {
    peer_.fail_reads();
    peer_.fail_writes();
  } else {
    peer_.send_eof();
    if (stage_.chance.one_in(2)) peer_.fail_writes();
  }
}

// As servers do when their idle time is over.
void Origin::speak_unasked() {
  stage_.trace(name() + " speaks unasked");
  const std::uint64_t stray = ledger_.add({.length = 0, .complete = true, .stray = true});
  const std::string bytes = "HTTP/1.1 408 Request Timeout\r\nX-Answer: " + std::to_string(stray) +
                            "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  peer_.send(bytes);
  sent_ += bytes.size();
  end(Ending::kClose);
}

void Origin::wind_up() {
  if (!peer_.open()) return;
  peer_.set_room(FakePeer::kUnlimited);
  if (ended_) return;
  if (asked_ != 0 && head_read_ && body_.done() && to_send_.empty() && !planned_)
    write_answer(true);
  if (tunnel_ != 0 || cuts_) end(Ending::kClose);
  if (!to_send_.empty()) send(to_send_.size());
}

// Tunnels

void Origin::become_tunnel(std::uint64_t id) {
  tunnel_ = id;
  asked_ = 0;
  may_serve_again_ = false;
  to_send_ += tunnel_greeting('^', id);
  if (read_greeting(received_, '~') != 0) read_tunnel();
}

void Origin::read_tunnel() {
  if (tunnel_read_ == 0) {
    if (received_.size() < kGreetingBytes) return;
    if (read_greeting(received_, '~') != tunnel_) stage_.finding("a tunnel of another client");
    received_.erase(0, kGreetingBytes);
    tunnel_read_ = kGreetingBytes;
  }
  if (!is_pattern(received_, tunnel_, tunnel_read_ - kGreetingBytes))
    stage_.finding("a tunnel has foreign bytes");
  tunnel_read_ += received_.size();
  received_.clear();
}

// What becomes of it

void Origin::on_rest() {
  if (checked_) return;
  checked_ = true;
  check_pooled();
}

void Origin::check_pooled() const {
  if (asked_ != 0) stage_.finding(name() + " is kept before its answer has ended");
  if (reading_ != 0) stage_.finding(name() + " is kept before its request has come");
  if (tunnel_ != 0) stage_.finding(name() + " is kept and is a tunnel");
  if (bound_to_ != 0) stage_.finding(name() + " is kept for all and is one client's alone");
  if (!may_serve_again_) stage_.finding(name() + " is kept, and is about to close");
  if (socket_.consumed() < answer_end_)
    stage_.finding(name() + " is kept, and its last answer was not read");
  if (socket_.consumed() > answer_end_)
    stage_.finding(name() + " is kept, and bytes behind its last answer were read");
  if (departed_) stage_.finding(name() + " is kept, and its address is not its name's any more");
  rules_.check_kept(dialled_.target, dialled_.started, served_);
}

void Origin::on_closed() {
  stage_.trace(name() + " was closed");
  ++connections_closed_;
}

}  // namespace penstock::sim
