#include "server/failures_json.h"

#include "server/json_writer.h"
#include "telemetry/line_format.h"

namespace penstock {

namespace {

std::string line_of(const ExchangeRecord& record, LineFormatter& formatter) {
  std::string line(line_bound(record), '\0');
  const char* const end = formatter.write(line.data(), record, {.json = true, .query = false});
  line.resize(static_cast<std::size_t>(end - line.data()) - 1);  // without its newline
  return line;
}

}  // namespace

std::string failures_json(const Failures& failures, std::string_view upstream, WallTime now) {
  LineFormatter formatter;
  JsonWriter json;
  json.open('{');
  json.key("time");
  json.string(rfc3339(now));
  json.key("failures");
  json.open('[');
  for (const Failure& failure : failures) {
    const ExchangeRecord record = failure.record();
    if (upstream.empty() || record.upstream == upstream) json.literal(line_of(record, formatter));
  }
  json.close(']');
  json.close('}');
  return json.take() + '\n';
}

}  // namespace penstock
