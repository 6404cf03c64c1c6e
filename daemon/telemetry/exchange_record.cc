#include "telemetry/exchange_record.h"

namespace penstock {
std::string_view to_string(Form form) {
  switch (form) {
    case Form::kAbsolute:
      return "absolute";
    case Form::kOrigin:
      return "origin";
    case Form::kConnect:
      return "connect";
    case Form::kUnwrapped:
      return "unwrapped";
  }
  return "";
}

std::string_view to_string(StatusSource source) {
  switch (source) {
    case StatusSource::kUpstream:
      return "upstream";
    case StatusSource::kProxy:
      return "proxy";
    case StatusSource::kNone:
      return "none";
  }
  return "";
}

}  // namespace penstock
