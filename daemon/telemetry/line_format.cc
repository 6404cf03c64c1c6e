#include "telemetry/line_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <string_view>

#include "telemetry/escape.h"

namespace penstock {
namespace {

// Room for all keys, numbers, times and words of our own, apart from the texts.
constexpr std::size_t kFixedBytes = 1536;
// All texts as long as they get: the path and nine others.
constexpr std::size_t kMaxTextBytes = kMaxLoggedPathBytes + 9 * kMaxLoggedTextBytes;
static_assert(kFixedBytes + kMaxTextBytes * kMaxEscapedBytes <= kMaxLineBytes);

std::string_view clipped(std::string_view text) { return text.substr(0, kMaxLoggedTextBytes); }

struct LoggedPath {
  LoggedPath(std::string_view path, bool query)
      : text(query ? path : path.substr(0, path.find('?'))),
        clipped(text.size() > kMaxLoggedPathBytes) {
    text = text.substr(0, kMaxLoggedPathBytes);
  }
  std::string_view text;
  bool clipped;
};

// All numbers of two digits: "00010203...".
template <std::size_t kBase>
constexpr auto kDigitPairs = [] {
  std::array<char, 2 * kBase * kBase> pairs{};
  for (std::size_t i = 0; i < kBase * kBase; ++i) {
    pairs[2 * i] = "0123456789abcdef"[i / kBase];
    pairs[2 * i + 1] = "0123456789abcdef"[i % kBase];
  }
  return pairs;
}();

template <int kDigits>
char* write_padded(char* out, unsigned value) {
  int left = kDigits;
  for (; left >= 2; left -= 2, value /= 100) {
    std::memcpy(out + left - 2, &kDigitPairs<10>[2 * (value % 100)], 2);
  }
  if (left == 1) *out = static_cast<char>('0' + value);
  return out + kDigits;
}

// Up to three digits have their own way, since a status and most counts and times have no more.
char* write_decimal(char* out, std::uint64_t value) {
  if (value >= 1000) return std::to_chars(out, out + 20, value).ptr;
  const auto small = static_cast<unsigned>(value);
  if (small >= 100) return write_padded<3>(out, small);
  return small >= 10 ? write_padded<2>(out, small) : write_padded<1>(out, small);
}

char* write_hex(char* out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8, out += 2) {
    std::memcpy(out, &kDigitPairs<16>[2 * ((value >> shift) & 0xff)], 2);
  }
  return out;
}

// Three decimals, rounded to the nearest microsecond.
char* write_milliseconds(char* out, Duration duration) {
  const auto micros = static_cast<std::uint64_t>(duration.count() + 500) / 1000;
  out = write_decimal(out, micros / 1000);
  *out = '.';
  return write_padded<3>(out + 1, static_cast<unsigned>(micros % 1000));
}

// Where the next byte goes; the caller knows that there is room. No reference to one leaves the
// function that writes the line (what is not inlined takes and returns the pointer), or every byte
// written might alias it and the pointer would live in memory.
class Cursor {
 public:
  explicit Cursor(char* at) : at_(at) {}
  char* at() const { return at_; }

  void put(char c) { *at_++ = c; }
  void put(std::string_view text) {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put_json(std::string_view text) { at_ = write_json_escaped(at_, text); }
  void put_text(std::string_view text) { at_ = write_text_escaped(at_, text); }
  void put_decimal(std::uint64_t value) { at_ = write_decimal(at_, value); }
  void put_hex(std::uint64_t value) { at_ = write_hex(at_, value); }
  void put_milliseconds(Duration value) { at_ = write_milliseconds(at_, value); }
  template <int kDigits>
  void put_padded(unsigned value) {
    at_ = write_padded<kDigits>(at_, value);
  }

 private:
  char* at_;
};

// The name of a field as a template argument, so that all that surrounds a value is one constant.
template <std::size_t kSize>
struct Name {
  consteval Name(const char (&text)[kSize]) {
    std::copy_n(text, kSize, chars);
  }  // NOLINT: converts
  constexpr std::string_view view() const { return {chars, kSize - 1}; }
  char chars[kSize]{};
};

template <Name kBefore, Name kName, Name kAfter>
constexpr auto kJoined = [] {
  std::array<char, kBefore.view().size() + kName.view().size() + kAfter.view().size()> all{};
  auto to = all.begin();
  for (const std::string_view part : {kBefore.view(), kName.view(), kAfter.view()}) {
    to = std::copy(part.begin(), part.end(), to);
  }
  return all;
}();

template <const auto& kArray>
constexpr std::string_view kView{kArray.data(), kArray.size()};

// How a field looks in JSON: `,"name":value`.
class JsonFields : public Cursor {
 public:
  using Cursor::Cursor;

  template <Name kName>
  void text(std::string_view value) {
    if (value.empty()) return;
    open<kName>();
    put_json(clipped(value));
    put('"');
  }
  template <Name kName>
  void word(std::string_view value) {
    open<kName>();
    put(value);
    put('"');
  }
  template <Name kName>
  void hex(std::uint64_t value) {
    open<kName>();
    put_hex(value);
    put('"');
  }
  template <Name kName>
  void number(std::uint64_t value) {
    key<kName>();
    put_decimal(value);
  }
  template <Name kName>
  void flag(bool value) {
    key<kName>();
    put(value ? std::string_view("true") : std::string_view("false"));
  }
  template <Name kName>
  void milliseconds(std::optional<Duration> value) {
    if (!value) return;
    key<kName>();
    put_milliseconds(*value);
  }
  void path(const LoggedPath& value) {
    if (value.text.empty()) return;
    open<"path">();
    put_json(value.text);
    put(value.clipped ? std::string_view("…\"") : std::string_view("\""));
  }

 private:
  template <Name kName>
  void key() {
    put(kView<kJoined<",\"", kName, "\":">>);
  }
  template <Name kName>
  void open() {
    put(kView<kJoined<",\"", kName, "\":\"">>);
  }
};

// How a field looks in text: ` name=value`.
class TextFields : public Cursor {
 public:
  using Cursor::Cursor;

  template <Name kName>
  void text(std::string_view value) {
    if (value.empty()) return;
    key<kName>();
    put_text(clipped(value));
  }
  template <Name kName>
  void word(std::string_view value) {
    key<kName>();
    put(value);
  }
  template <Name kName>
  void hex(std::uint64_t value) {
    key<kName>();
    put_hex(value);
  }
  template <Name kName>
  void number(std::uint64_t value) {
    key<kName>();
    put_decimal(value);
  }
  template <Name kName>
  void flag(bool value) {
    word<kName>(value ? "true" : "false");
  }
  template <Name kName>
  void milliseconds(std::optional<Duration> value) {
    if (!value) return;
    key<kName>();
    put_milliseconds(*value);
  }

 private:
  template <Name kName>
  void key() {
    put(kView<kJoined<" ", kName, "=">>);
  }
};

template <typename Fields>
void put_client(Fields& to, const ExchangeRecord& record) {
  to.template hex<"id">(record.id);
  to.template text<"listener">(record.listener);
  to.template text<"client">(record.client);
  if (record.client_uid) to.template number<"client_uid">(*record.client_uid);
  if (record.form) to.template word<"form">(to_string(*record.form));
}

template <typename Fields>
void put_upstream(Fields& to, const ExchangeRecord& record) {
  to.template text<"upstream">(record.upstream);
  to.template text<"address">(record.address);
  to.template text<"protocol">(record.protocol);
}

template <typename Fields>
void put_error(Fields& to, const ExchangeRecord& record) {
  if (record.error) to.template word<"error">(token(*record.error));
  if (record.error_phase) to.template word<"error_phase">(to_string(*record.error_phase));
  to.template text<"error_limit">(record.error_limit);
}

template <typename Fields>
void put_connection(Fields& to, const ExchangeRecord& record) {
  if (record.request_bytes) to.template number<"request_bytes">(*record.request_bytes);
  if (record.response_bytes) to.template number<"response_bytes">(*record.response_bytes);
  if (record.conn_id != 0) {
    to.template number<"conn_id">(record.conn_id);
    to.template number<"conn_requests">(record.conn_requests);
    to.template flag<"reused">(record.reused);
  }
  if (record.attempts != 0) to.template number<"attempts">(record.attempts);
  if (record.close_reason) to.template word<"close_reason">(to_string(*record.close_reason));
}

template <typename Fields>
void put_times(Fields& to, const ExchangeRecord& record) {
  to.template milliseconds<"queue_ms">(phase_time(record, Phase::kQueue));
  to.template milliseconds<"resolve_ms">(phase_time(record, Phase::kResolve));
  to.template milliseconds<"connect_ms">(phase_time(record, Phase::kConnect));
  to.template milliseconds<"tls_ms">(phase_time(record, Phase::kTlsHandshake));
  to.template milliseconds<"send_ms">(phase_time(record, Phase::kSend));
  to.template milliseconds<"continue_ms">(phase_time(record, Phase::kAwaitContinue));
  to.template milliseconds<"wait_ms">(phase_time(record, Phase::kAwaitHead));
  to.template milliseconds<"receive_ms">(phase_time(record, Phase::kReceive));
  to.template milliseconds<"exchange_ms">(exchange_time(record));
  to.template milliseconds<"total_ms">(total_time(record));
}

// The exchange is a span of the trace that its request belongs to, under its own id.
template <typename Fields>
void put_trace(Fields& to, const ExchangeRecord& record) {
  if (record.traceparent.empty()) return;
  to.template text<"traceparent">(record.traceparent);
  to.template hex<"span_id">(record.id);
}

// Goes on behind `{"ts":"` and the time.
char* write_json(char* out, const ExchangeRecord& record, bool query) {
  JsonFields to(out);
  to.put('"');
  put_client(to, record);
  to.text<"method">(record.method);
  to.text<"host">(record.host);
  to.path(LoggedPath(record.path, query));
  put_upstream(to, record);
  if (record.status != 0) to.number<"status">(record.status);
  to.word<"status_source">(to_string(record.status_source));
  put_error(to, record);
  put_connection(to, record);
  put_times(to, record);
  put_trace(to, record);
  to.put("}\n");
  return to.at();
}

// What people look for comes first, without names: status, method, host and path.
void put_head(TextFields& to, const ExchangeRecord& record, bool query) {
  to.put(' ');
  if (record.status == 0) {
    to.put('-');
  } else {
    to.put_decimal(record.status);
  }
  to.put(' ');
  to.put_text(record.method.empty() ? "-" : clipped(record.method));
  to.put(' ');
  to.put_text(record.host.empty() ? "-" : clipped(record.host));
  const LoggedPath path(record.path, query);
  to.put_text(path.text);
  if (path.clipped) to.put("...");
}

// Goes on behind the time.
char* write_text(char* out, const ExchangeRecord& record, bool query) {
  TextFields to(out);
  put_head(to, record, query);
  put_error(to, record);
  put_times(to, record);
  to.word<"status_source">(to_string(record.status_source));
  put_upstream(to, record);
  put_connection(to, record);
  put_client(to, record);
  put_trace(to, record);
  to.put('\n');
  return to.at();
}

}  // namespace

std::size_t line_bound(const ExchangeRecord& record) {
  const std::size_t bytes = record.listener.size() + record.client.size() + record.method.size() +
                            record.host.size() + record.path.size() + record.upstream.size() +
                            record.address.size() + record.protocol.size() +
                            record.error_limit.size() + record.traceparent.size();
  return kFixedBytes + std::min(bytes, kMaxTextBytes) * kMaxEscapedBytes;
}

char* LineFormatter::write(char* out, const ExchangeRecord& record, const LineStyle& style) {
  if (!style.json) return write_text(write_time(out, record.ts), record, style.query);
  constexpr std::string_view kOpening = "{\"ts\":\"";
  std::memcpy(out, kOpening.data(), kOpening.size());
  return write_json(write_time(out + kOpening.size(), record.ts), record, style.query);
}

// RFC 3339 section 5.6, UTC, to the microsecond.
char* LineFormatter::write_time(char* out, WallTime time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  if (second.time_since_epoch().count() != second_) write_second(second);
  Cursor to(out);
  to.put({second_text_.data(), second_text_.size()});
  to.put_padded<6>(static_cast<unsigned>((time - second).count()));
  to.put('Z');
  return to.at();
}

void LineFormatter::write_second(std::chrono::sys_seconds second) {
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(second - day);
  Cursor to(second_text_.data());
  to.put_padded<4>(static_cast<unsigned>(static_cast<int>(date.year())));
  to.put('-');
  to.put_padded<2>(static_cast<unsigned>(date.month()));
  to.put('-');
  to.put_padded<2>(static_cast<unsigned>(date.day()));
  to.put('T');
  to.put_padded<2>(static_cast<unsigned>(clock.hours().count()));
  to.put(':');
  to.put_padded<2>(static_cast<unsigned>(clock.minutes().count()));
  to.put(':');
  to.put_padded<2>(static_cast<unsigned>(clock.seconds().count()));
  to.put('.');
  second_ = second.time_since_epoch().count();
}

}  // namespace penstock
