#include "fuzz/session_check.h"

#include <algorithm>
#include <optional>

#include "fuzz/check.h"
#include "fuzz/strict_reader.h"
#include "http/parser.h"

namespace penstock::fuzz {
namespace {

using Verdict = StrictReading::Verdict;
using Lines = std::vector<std::pair<std::string, std::string>>;

// A request as the parser understood it from a client's bytes.
struct Asked {
  StrictMessage message;
  bool whole = false;
};

// An exchange as an origin saw it: what it got, and what it answered.
struct Served {
  StrictMessage request;
  std::size_t begin = 0;                // of the request in what it got
  std::optional<StrictMessage> answer;  // when it was whole
  std::optional<StrictMessage> answer_to_head{};
};

Lines lines_of(const FieldList& fields) {
  Lines lines;
  for (const Field& field : fields) lines.emplace_back(field.name, field.value);
  return lines;
}

std::vector<Asked> read_requests(const Actor& client, const ClientSettings& settings) {
  RequestParser parser(
      {.max_head_bytes = settings.max_header_size, .max_fields = settings.max_header_fields});
  RequestHead head;
  std::vector<Asked> asked;
  std::string_view in = client.sent;
  while (true) {
    const ParseStep step = parser.next(in, head);
    in.remove_prefix(step.consumed);
    if (step.event == ParseEvent::kFault || step.event == ParseEvent::kNeedMore) return asked;
    if (step.event == ParseEvent::kHead) {
      asked.emplace_back().message = {.method = std::string(head.method_name),
                                      .target = std::string(head.target),
                                      .reason = {},
                                      .fields = lines_of(head.fields),
                                      .body = {},
                                      .trailers = {}};
    } else if (step.event == ParseEvent::kBody) {
      asked.back().message.body += step.body;
    } else {
      asked.back().message.trailers = lines_of(head.trailers);
      asked.back().whole = true;
    }
  }
}

bool is_connect(const Asked& asked) { return asked.message.method == "CONNECT"; }

bool contains_end_to_end(const Lines& sent, const Lines& got) {
  return std::all_of(got.begin(), got.end(), [&](const auto& line) {
    return identify_field(line.first) != FieldId::kOther ||
           lower_case(line.first) == "server-timing" ||
           std::find(sent.begin(), sent.end(), line) != sent.end();
  });
}

// The target that an origin gets is the last part of the one that the client sent.
bool is_path_of(std::string_view path, std::string_view target) {
  target = target.substr(0, target.find('#'));
  if (path == "*" || target.ends_with(path)) return true;
  return path.starts_with('/') && (path.size() == 1 || target.ends_with(path.substr(1)));
}

bool is_same_request(const StrictMessage& got, const StrictMessage& sent) {
  return got.method == sent.method && is_path_of(got.target, sent.target);
}

void check_request(const StrictMessage& got, const std::vector<Asked>& asked) {
  const bool known = std::any_of(asked.begin(), asked.end(), [&](const Asked& one) {
    return one.whole && is_same_request(got, one.message) && got.body == one.message.body &&
           contains_end_to_end(one.message.fields, got.fields) &&
           contains_end_to_end(one.message.trailers, got.trailers);
  });
  FUZZ_CHECK(known);
}

// What was said before it was asked is no answer: the connection may not be used any more.
bool is_premature(const Actor& origin, std::size_t answer, const Served& served) {
  std::size_t received = 0;
  for (const Actor::Mark& mark : origin.marks) {
    if (mark.sent <= answer) received = mark.received;
  }
  return !origin.read_slowly && received <= served.begin;
}

// The next answer in `in`, when it is whole and nothing in it is malformed.
std::optional<StrictMessage> read_answer(const Actor& origin, const Config& config, Method method,
                                         std::string_view& in) {
  const ParseLimits limits{.max_head_bytes = config.upstreams[0].policy.max_response_header_size,
                           .max_fields = 1000};
  ResponseParser parser(limits);
  parser.start(method, limits);
  ResponseHead head;
  StrictMessage answer;
  for (bool ended = false; !ended;) {
    const ParseStep step = parser.next(in, head);
    in.remove_prefix(step.consumed);
    answer.body += step.body;
    if (step.event == ParseEvent::kFault) return std::nullopt;
    ended = step.event == ParseEvent::kEnd && !head.informational();
    if (step.event != ParseEvent::kNeedMore) continue;
    if (!origin.left || parser.finish(head).event != ParseEvent::kEnd) return std::nullopt;
    ended = true;
  }
  answer.status = head.status;
  answer.reason = head.reason;
  answer.fields = lines_of(head.fields);
  return answer;
}

// What the parser makes of the origin's answers, in the order of the requests. Where so little of a
// request came that its method is not known, its answer may be one to a HEAD.
void read_answers(const Actor& origin, const Config& config, std::vector<Served>& served) {
  std::string_view in = origin.sent;
  for (Served& one : served) {
    if (is_premature(origin, origin.sent.size() - in.size(), one)) return;
    const std::string& method = one.request.method;
    if (method.empty()) {
      std::string_view same = in;
      one.answer_to_head = read_answer(origin, config, Method::kHead, same);
    }
    one.answer = read_answer(origin, config, method == "HEAD" ? Method::kHead : Method::kGet, in);
    if (!one.answer) return;
  }
}

std::vector<Served> check_origin(const Actor& origin, const std::vector<Asked>& asked,
                                 const Config& config) {
  std::vector<Served> served;
  std::string_view rest = origin.peer->written();
  while (!rest.empty()) {
    StrictReading read = read_strictly_as_request(rest);
    if (read.verdict == Verdict::kBad) std::fprintf(stderr, "%s\n", read.complaint.c_str());
    FUZZ_CHECK(read.verdict != Verdict::kBad);
    const bool cut = read.verdict == Verdict::kCut;
    if (!cut) check_request(read.message, asked);
    const std::size_t begin = origin.peer->written().size() - rest.size();
    rest.remove_prefix(cut ? rest.size() : read.consumed);
    const bool upgrade = read.message.find("upgrade") != nullptr;
    served.push_back({.request = std::move(read.message), .begin = begin, .answer = {}});
    if (upgrade) break;  // a tunnel may follow
  }
  read_answers(origin, config, served);
  return served;
}

bool is_own(const StrictMessage& got, const std::string& method) {
  const std::string* status = got.find("proxy-status");
  if (status != nullptr && status->find("penstock") != std::string::npos) return true;
  const bool here = method == "OPTIONS" || method == "TRACE" || method == "CONNECT";
  return here && got.status == 200;
}

bool is_same_answer(const std::optional<StrictMessage>& sent, const StrictMessage& got) {
  return sent && sent->status == got.status && sent->reason == got.reason &&
         sent->body == got.body && contains_end_to_end(sent->fields, got.fields);
}

// Each answer goes to one client, once; also one to a request whose line did not get out in full.
void check_response(const StrictMessage& got, const StrictMessage& request,
                    std::vector<Served>& served) {
  if (is_own(got, request.method)) return;
  const auto known = std::find_if(served.begin(), served.end(), [&](const Served& one) {
    if (!one.request.method.empty() && !is_same_request(one.request, request)) return false;
    return is_same_answer(one.answer, got) || is_same_answer(one.answer_to_head, got);
  });
  FUZZ_CHECK(known != served.end());
  known->answer.reset();
  known->answer_to_head.reset();
}

// The refusal of what is no request, and so has no method that the checker would know.
void check_refusal(std::string_view text) {
  const StrictReading read = read_strictly_as_response(text, "GET");
  const StrictReading bodiless = read_strictly_as_response(text, "HEAD");
  FUZZ_CHECK(read.verdict == Verdict::kWhole || bodiless.verdict == Verdict::kWhole);
  const StrictReading& whole = read.verdict == Verdict::kWhole ? read : bodiless;
  FUZZ_CHECK(whole.consumed == text.size());
  FUZZ_CHECK(is_own(whole.message, "") && whole.message.status >= 400);
}

void check_cut(const Actor& client) {
  FUZZ_CHECK(client.peer->open() || client.peer->aborted() || client.left);
}

void check_client(const Actor& client, const std::vector<Asked>& asked,
                  std::vector<Served>& served) {
  std::string_view rest = client.peer->written();
  for (auto at = asked.begin(); !rest.empty();) {
    if (at == asked.end()) {
      if (client.peer->open() || client.peer->aborted() || client.left) return;
      return check_refusal(rest);
    }
    const StrictMessage& request = at->message;
    const StrictReading read = read_strictly_as_response(rest, request.method);
    if (read.verdict == Verdict::kBad) std::fprintf(stderr, "%s\n", read.complaint.c_str());
    FUZZ_CHECK(read.verdict != Verdict::kBad);
    if (read.verdict == Verdict::kCut) return check_cut(client);
    const StrictMessage& got = read.message;
    if (got.until_close) return;  // what was cut looks the same but for the reset
    rest.remove_prefix(read.consumed);
    if (got.status == 101 || (is_connect(*at) && got.status == 200)) return;
    if (got.status < 200) continue;
    check_response(got, request, served);
    ++at;
  }
}

}  // namespace

void check_world(const SessionWorld& world) {
  std::vector<std::vector<Asked>> by_client;
  std::vector<Asked> asked;
  for (const Actor& client : world.clients()) {
    by_client.push_back(read_requests(client, world.config().client));
    asked.insert(asked.end(), by_client.back().begin(), by_client.back().end());
  }
  // What goes through a tunnel is nobody's to judge.
  if (std::any_of(asked.begin(), asked.end(), is_connect)) return;
  std::vector<Served> served;
  for (const Actor& origin : world.origins()) {
    std::vector<Served> some = check_origin(origin, asked, world.config());
    std::move(some.begin(), some.end(), std::back_inserter(served));
  }
  for (std::size_t i = 0; i < by_client.size(); ++i)
    check_client(world.clients()[i], by_client[i], served);
}

}  // namespace penstock::fuzz
