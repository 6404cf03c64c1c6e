#include "client.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace penstock::sim {

namespace {

bool may_become_tunnel(const Request& request) { return request.connect() || request.upgrade; }

}  // namespace

std::string tunnel_greeting(char mark, std::uint64_t id) {
  std::array<char, kGreetingBytes + 1> text;
  std::snprintf(text.data(), text.size(), "%c%08llx;", mark, static_cast<unsigned long long>(id));
  return text.data();
}

std::uint64_t read_greeting(std::string_view bytes, char mark) {
  std::uint64_t id = 0;
  if (bytes.size() < kGreetingBytes || bytes[0] != mark) return 0;
  std::from_chars(bytes.data() + 1, bytes.data() + kGreetingBytes - 1, id, 16);
  return id;
}

Client::Client(Stage& stage, Ledger& ledger, std::size_t number, std::size_t worker,
               const unsigned& generation, const Rules& rules)
    : stage_(stage),
      ledger_(ledger),
      number_(number),
      worker_(worker),
      generation_(generation),
      half_close_(rules.half_close()),
      two_flavors_(rules.two_flavors()),
      socket_(stage, peer_, *this, worker) {
  if (stage_.chance.one_in(8)) peer_.read_at_most(stage_.chance.between(20, 200));
}

std::string Client::describe() const {
  std::string text = name() + " of worker " + std::to_string(worker_);
  if (left_) text += ", which has left,";
  if (tunnel_ != 0) return text + " in a tunnel";
  if (asked_.empty()) return text + " without a request";
  const Request& request = ledger_.request(asked_.front().id);
  text += " with request " + std::to_string(request.id) + ", " + request.method;
  return text + " to " + request.host + (body_ ? ", whose answer has begun" : "");
}

// What it does

void Client::act() {
  if (!peer_.open() || left_) return;
  Chance& chance = stage_.chance;
  switch (chance.below(20)) {
    case 0:
      stop_reading();
      return;
    case 1:
      end_sending();
      return;
    case 2:
      if (chance.one_in(3)) leave();
      return;
    case 3:
    case 4:
      release_body();
      return;
    case 5:
    case 6:
      send(chance.between(1, 30));
      return;
    case 7:
    case 8:
    case 9:
      read_on();
      return;
    default:
      if (tunnel_ == 0 && !half_closed_ && asked_.size() < chance.between(1, 4)) ask();
      if (tunnel_ != 0 && !half_closed_) queue(pattern(tunnel_, tunnel_sent_, 20));
      if (!chance.one_in(6)) send(to_send_.size());
      return;
  }
}

void Client::wind_up() {
  if (!peer_.open() || left_) return;
  read_on();
  release_body();
  send(to_send_.size());
  if (asked_.empty() || half_closed_ || tunnel_ != 0 || stage_.chance.one_in(10)) leave();
}

void Client::stop_reading() {
  reads_ = false;
  stalled_ = true;
  // What became of its request cannot be seen from now on.
  if (!asked_.empty()) ledger_.stop_waiting(current());
  peer_.set_room(stage_.chance.of<std::size_t>({0, 0, 10, 300}));
}

void Client::read_on() {
  reads_ = true;
  peer_.set_room(FakePeer::kUnlimited);
}

// To a proxy without client.half_close it has left by that.
void Client::end_sending() {
  if (half_closed_ || !stage_.chance.one_in(4)) return;
  stage_.trace(name() + " half-closes");
  half_closed_ = true;
  to_send_.clear();
  held_body_.clear();
  if (!half_close_ && tunnel_ == 0) left_ = true;
  peer_.send_eof();
}

void Client::leave() {
  if (left_) return;
  stage_.trace(name() + " leaves");
  left_ = true;
  if (stage_.chance.one_in(2)) {
    peer_.fail_reads();
    peer_.fail_writes();
  } else if (!half_closed_) {
    peer_.send_eof();
  } else {
    peer_.fail_writes();
    peer_.fail_reads();
  }
  for (const Asked& asked : asked_) ledger_.stop_waiting(ledger_.request(asked.id));
}

void Client::ask() {
  if (!held_body_.empty()) return;  // requests come one after the other
  if (!asked_.empty() && may_become_tunnel(ledger_.request(asked_.back().id))) return;
  Request& request = ledger_.add(draw_request());
  stage_.trace(name() + " asks " + std::to_string(request.id) + " " + request.method + " " +
               request.host);
  const std::uint64_t begin = queued_;
  queue(format_head(request));
  asked_.push_back({.id = request.id, .begin = begin, .head_end = queued_});
  std::string body = pattern(request.id, 0, request.length);
  if (request.framing == Framing::kChunked) body = chunked(body, stage_.chance.between(1, 5000));
  if (request.framing == Framing::kNone) return;
  if (request.expects) {
    held_body_ = std::move(body);
  } else {
    queue(body);
  }
}

Request Client::draw_request() {
  Chance& chance = stage_.chance;
  Request request;
  request.client = number_;
  request.worker = worker_;
  request.host =
      chance.of<const char*>({"a.test", "a.test", "a.test", "b.test", "c.test", "d.test"});
  request.method = chance.of<const char*>({"GET", "GET", "GET", "HEAD", "POST", "POST", "PUT"});
  if (chance.one_in(20) && asked_.empty()) {
    request.method = "CONNECT";
    request.host = "a.test";
    request.port = 443;
    return request;
  }
  if (request.host == "b.test") {  // of two flavors, where the run has them
    request.port = 8080;
    request.tls = two_flavors_ && chance.one_in(2);
  }
  if (request.method == "POST" || request.method == "PUT") {
    request.repeatable = request.method == "PUT";
    request.framing = chance.of({Framing::kNone, Framing::kLength, Framing::kChunked});
    if (request.framing != Framing::kNone)
      request.length = chance.one_in(8) ? chance.below(60'000) : chance.below(200);
    request.expects = request.framing != Framing::kNone && request.length > 0 && chance.one_in(4);
  } else {
    request.upgrade = asked_.empty() && chance.one_in(20);
    request.old = !request.upgrade && chance.one_in(15);
  }
  return request;
}

std::string Client::format_head(const Request& request) const {
  const std::string id = std::to_string(request.id);
  if (request.connect()) return "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
  const std::string host =
      request.host + (request.port == 80 ? "" : ":" + std::to_string(request.port));
  std::string head = request.method + (request.tls ? " https://" : " http://") + host + "/" + id +
                     (request.old ? " HTTP/1.0" : " HTTP/1.1") + "\r\nHost: " + host +
                     "\r\nX-Id: " + id + "\r\n";
  if (request.framing == Framing::kLength)
    head += "Content-Length: " + std::to_string(request.length) + "\r\n";
  if (request.framing == Framing::kChunked) head += "Transfer-Encoding: chunked\r\n";
  if (request.expects) head += "Expect: 100-continue\r\n";
  if (request.upgrade) head += "Connection: upgrade\r\nUpgrade: echo\r\n";
  return head + "\r\n";
}

void Client::queue(std::string_view bytes) {
  to_send_ += bytes;
  queued_ += bytes.size();
  if (tunnel_ != 0) tunnel_sent_ += bytes.size();
}

void Client::release_body() {
  if (held_body_.empty()) return;
  queue(held_body_);
  held_body_.clear();
}

void Client::send(std::size_t bytes) {
  const std::size_t count = std::min(bytes, to_send_.size());
  if (count == 0 || left_) return;
  peer_.send(std::string_view(to_send_).substr(0, count));
  to_send_.erase(0, count);
}

// What it sees

void Client::on_consumed() {
  if (asked_.empty() || closing_) return;
  Asked& first = asked_.front();
  const std::uint64_t consumed = socket_.consumed();
  if (!first.begun && consumed > first.begin) {
    first.begun = true;
    ++ledger_.begun;
    current().generation = current().first_generation = generation_;
  }
  const bool head_read = consumed >= first.head_end;
  if (head_read && !current().waiting && current().since == 0 && !left_ && !stalled_)
    ledger_.begin_waiting(current());
}

void Client::on_written() {
  received_ += peer_.take_written();
  while (read_answer()) continue;
}

// False when there is nothing more to read.
bool Client::read_answer() {
  if (tunnel_ != 0) {
    read_tunnel();
    return false;
  }
  if (!body_) {
    std::optional<Head> head = take_head(received_);
    return head && begin_answer(*head);
  }
  on_body(body_->take(received_));
  if (body_->broken()) stage_.finding("an answer's chunks are malformed");
  if (!body_->done()) return false;
  end_answer();
  return true;
}

bool Client::begin_answer(const Head& head) {
  if (asked_.empty() || !asked_.front().begun)
    stage_.finding(name() + " was answered and had not asked: " + head.start);
  Request& request = current();
  const int status = std::atoi(head.start.c_str() + 9);
  const bool own = head.find("x-answer") == nullptr;
  if (status == 101 || (request.connect() && status == 200)) {
    if (status == 101 && !request.upgrade) stage_.finding("an upgrade that nobody asked for");
    if (request.connect()) ledger_.acquired(request);
    enter_tunnel();
    return true;
  }
  if (status < 200) {
    on_interim(head, status);
    return true;
  }
  ledger_.stop_waiting(request);
  answer_ = own ? 0 : head.number("x-answer");
  if (own && head.find("proxy-status") == nullptr)
    stage_.finding("an answer of nobody: " + head.start);
  if (!own) begin_upstream_answer(head, request);
  Framing framing = Framing::kUntilClose;
  if (request.method == "HEAD" || status == 204 || status == 304) {
    framing = Framing::kNone;
  } else if (head.has("transfer-encoding", "chunked")) {
    framing = Framing::kChunked;
  } else if (head.find("content-length") != nullptr) {
    framing = Framing::kLength;
  }
  body_.emplace(framing, head.number("content-length"));
  answer_closes_ =
      request.old || head.has("connection", "close") || framing == Framing::kUntilClose;
  stage_.trace("answer to " + std::to_string(request.id) + ": " + head.start +
               (own ? " (own) " + *head.find("proxy-status") : ""));
  return true;
}

void Client::begin_upstream_answer(const Head& head, const Request& request) {
  if (!ledger_.knows_answer(answer_)) stage_.finding("an answer that no origin has sent");
  Answer& answer = ledger_.answer(answer_);
  if (answer.delivered) stage_.finding("one answer was delivered twice");
  answer.delivered = true;
  if (!answer.stray && answer.request != request.id) {
    stage_.finding("request " + std::to_string(request.id) + " was given the answer of " +
                   std::to_string(answer.request));
  }
  if (!answer.stray && head.number("x-id") != request.id)
    stage_.finding("an answer's head is not whole");
}

void Client::on_interim(const Head& head, int status) {
  if (current().old) stage_.finding("an interim answer to a client of HTTP/1.0");
  if (status == 100) {
    if (!current().expects) stage_.finding("a 100 for a request that does not expect it");
    release_body();
    return;
  }
  if (head.number("x-id") != current().id) stage_.finding("an interim answer of another request");
}

void Client::on_body(const std::string& content) {
  if (answer_ == 0) return;
  const Answer& answer = ledger_.answer(answer_);
  if (!is_pattern(content, answer.request, body_->taken() - content.size()))
    stage_.finding("a body has bytes of another message");
}

void Client::end_answer() {
  if (answer_ != 0) {
    const Answer& answer = ledger_.answer(answer_);
    const bool bodyless = body_->framing() == Framing::kNone;
    if (!answer.complete) stage_.finding("an answer looks whole that its origin has not ended");
    if (!bodyless && body_->taken() != answer.length) stage_.finding("an answer's length is wrong");
  }
  ++ledger_.ended;
  body_.reset();
  closing_ = answer_closes_;
  asked_.pop_front();
  stalled_ = !reads_;
  look_at_next();
}

// What was sent ahead is begun as soon as the answer before it has gone.
void Client::look_at_next() { on_consumed(); }

// Tunnels

void Client::enter_tunnel() {
  tunnel_ = asked_.front().id;
  to_send_ += tunnel_greeting('~', tunnel_);
  queued_ += kGreetingBytes;
}

void Client::read_tunnel() {
  if (!tunnel_greeted_) {
    if (received_.size() < kGreetingBytes) return;
    if (received_.starts_with("HTTP/1.1 4")) tunnel_spoilt_ = true;  // the origin spoke first
    if (tunnel_spoilt_) {
      received_.clear();
      return;
    }
    if (read_greeting(received_, '^') != tunnel_)
      stage_.finding("a tunnel leads to another's: " + received_.substr(0, 40));
    tunnel_greeted_ = true;
    received_.erase(0, kGreetingBytes);
  }
  if (!is_pattern(received_, tunnel_, tunnel_read_)) stage_.finding("a tunnel has foreign bytes");
  tunnel_read_ += received_.size();
  received_.clear();
}

// The end

void Client::on_closed() {
  stage_.trace(name() + " is closed");
  received_ += peer_.take_written();
  while (read_answer()) continue;
  for (const Asked& asked : asked_) ledger_.stop_waiting(ledger_.request(asked.id));
  if (left_ || tunnel_ != 0) return;
  const bool cut = peer_.aborted();
  if (body_ && body_->framing() == Framing::kUntilClose && !cut) {
    body_->end();
    end_answer();
  } else if (body_ && !cut) {
    stage_.finding("an answer was cut short and does not look so");
  } else if (!body_) {
    check_unanswered();
  }
}

void Client::check_unanswered() {
  if (asked_.empty() || closing_ || worker_ends_ || stalled_) return;
  const Asked& first = asked_.front();
  if (first.begun && !half_closed_)
    stage_.finding("request " + std::to_string(first.id) + " was left without an answer");
}

}  // namespace penstock::sim
