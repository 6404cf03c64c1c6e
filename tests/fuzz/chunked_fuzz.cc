// Any bytes as a chunked body, of a request and of a response: both give what a naive reading of
// RFC 9112 section 7.1 gives, however cut; no part of a body passes for the whole; and what the
// writer makes of the content is read as the same content.
#include <algorithm>
#include <optional>

#include "fuzz/agreement.h"
#include "fuzz/strict_reader.h"
#include "http/chunked_decoder.h"
#include "http/writer.h"

namespace penstock::fuzz {
namespace {

constexpr std::string_view kRequest =
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::string_view kResponse = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

// The content of the chunks at the front of `text`, and the bytes they take with the line of the
// last one behind them. Which extensions are well-formed is not asked, but for where they end.
struct Naive {
  std::string content;
  std::size_t consumed = 0;
  bool extended = false;
};

// No control is in it, and no quoted string is left open.
bool is_whole_extension(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    if (c == '"') quoted = !quoted;
    if (c == '\\' && quoted) ++i;
  }
  return !quoted;
}

std::optional<Naive> read_naively(std::string_view text) {
  Naive found;
  while (true) {
    const std::string_view rest = text.substr(found.consumed);
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    const std::string_view digits = line.substr(0, line.find(';'));
    const bool sized = digits.find_first_not_of("0123456789abcdefABCDEF") == digits.npos;
    if (line.size() == rest.size() || digits.empty() || digits.size() > 16 || !sized) return {};
    if (!is_whole_extension(line.substr(digits.size()))) return {};
    found.extended = found.extended || digits.size() != line.size();
    found.consumed += line.size() + 2;
    const std::uint64_t size = std::stoull(std::string(digits), nullptr, 16);
    if (size == 0) return found;
    if (size > text.size() || text.size() - found.consumed < size + 2) return {};
    found.content += text.substr(found.consumed, size);
    found.consumed += size;
    if (text.substr(found.consumed, 2) != "\r\n") return {};
    found.consumed += 2;
  }
}

// Everything that the decoder says of `text`, fed in pieces of `step` bytes.
struct Decoded {
  bool ended = false;
  bool refused = false;
  std::size_t consumed = 0;
  std::string content;
};
Decoded decode(std::string_view text, const ParseLimits& limits, std::size_t step) {
  ChunkedDecoder decoder;
  decoder.start(limits.max_chunk_extension_bytes);
  Decoded found;
  while (found.consumed < text.size()) {
    const auto part = decoder.next(text.substr(found.consumed, step));
    FUZZ_CHECK(part.consumed <= std::min(step, text.size() - found.consumed));
    found.consumed += part.consumed;
    found.content += part.content;
    found.refused = part.event == ChunkedDecoder::Event::kRefused;
    found.ended = part.event == ChunkedDecoder::Event::kLastChunk;
    if (found.refused || found.ended) break;
    FUZZ_CHECK(part.consumed > 0);
  }
  return found;
}

void check_decoder(const Plan& plan) {
  const Decoded whole = decode(plan.bytes, plan.limits, plan.bytes.size() + 1);
  const std::size_t step = plan.cuts.empty() ? 1 : plan.cuts[0];
  for (const std::size_t pieces : {std::size_t{1}, step}) {
    const Decoded cut = decode(plan.bytes, plan.limits, pieces);
    FUZZ_CHECK(cut.ended == whole.ended && cut.refused == whole.refused);
    FUZZ_CHECK(cut.content == whole.content);
    FUZZ_CHECK(!whole.ended || cut.consumed == whole.consumed);
  }
  const std::optional<Naive> naive = read_naively(plan.bytes);
  if (naive && !naive->extended) FUZZ_CHECK(whole.ended);
  if (!whole.ended) return;
  FUZZ_CHECK(naive && whole.consumed == naive->consumed);
  FUZZ_CHECK(whole.content == naive->content);
}

// The body behind a head of ours: requests and responses agree, and no prefix is complete.
void check_messages(const Plan& plan) {
  Plan request = plan, response = plan;
  const std::string post = std::string(kRequest) + std::string(plan.bytes);
  const std::string ok = std::string(kResponse) + std::string(plan.bytes);
  request.bytes = post;
  response.bytes = ok;
  request.limits.max_head_bytes = response.limits.max_head_bytes = 1024;
  request.limits.max_fields = response.limits.max_fields = 10;
  const auto as_request = [&](const std::vector<std::size_t>& cuts) {
    return test::run_request(request.bytes, request.limits, cuts);
  };
  const auto as_response = [&](const std::vector<std::size_t>& cuts) {
    return test::run_response(response.bytes, Method::kGet, response.limits, cuts);
  };
  check_the_same_however_cut(request, as_request);
  check_the_same_however_cut(response, as_response);
  const test::Outcome taken = as_request({});
  const test::Outcome answered = as_response({});
  const bool folded = plan.bytes.find("\r\n ") != std::string_view::npos ||
                      plan.bytes.find("\r\n\t") != std::string_view::npos;
  if (taken.ends > 0) FUZZ_CHECK(answered.ends > 0);
  if (answered.ends > 0 && !folded) FUZZ_CHECK(taken.ends > 0);
}

void check_writer(const std::string& content) {
  BlockPool pool;
  Buffer out(pool, content.size() + 1024);
  char space[18];
  if (!content.empty()) {
    out.append(format_chunk_line(content.size(), space));
    out.append(content);
    out.append(kChunkEnd);
  }
  RequestHead head;
  write_last_chunk(head, true, out);
  const Decoded read = decode(out.readable(), {}, 7);
  FUZZ_CHECK(read.ended && read.content == content && read.consumed + 2 == out.size());
  const StrictReading strict =
      read_strictly_as_request(std::string(kRequest) + std::string(out.readable()));
  FUZZ_CHECK(strict.verdict == StrictReading::Verdict::kWhole);
  FUZZ_CHECK(strict.message.body == content);
}

}  // namespace
}  // namespace penstock::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  const fuzz::Plan plan = fuzz::make_plan(data, size);
  fuzz::check_decoder(plan);
  fuzz::check_messages(plan);
  fuzz::check_writer(std::string(plan.bytes));
  return 0;
}
