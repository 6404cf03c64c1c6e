#include "http/trace_context.h"

#include <algorithm>

namespace penstock {

namespace {

constexpr std::string_view kShape = "00-00000000000000000000000000000000-0000000000000000-00";

// Upper case is not valid (section 3.2.2.1 and on).
bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

bool has_shape(std::string_view value) {
  return std::equal(kShape.begin(), kShape.end(), value.begin(),
                    [](char shape, char c) { return shape == '-' ? c == '-' : is_lower_hex(c); });
}

bool all_zero(std::string_view digits) {
  return digits.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

bool is_valid_traceparent(std::string_view value) {
  if (value.size() < kShape.size() || !has_shape(value)) return false;
  const std::string_view version = value.substr(0, 2);
  if (version == "ff") return false;
  if (value.size() > kShape.size() && (version == "00" || value[kShape.size()] != '-'))
    return false;
  return !all_zero(value.substr(3, 32)) && !all_zero(value.substr(36, 16));
}

std::string_view trace_parent(const FieldList& fields) {
  const Field* first = fields.find(FieldId::kTraceparent);
  if (first == nullptr || !is_valid_traceparent(first->value)) return {};
  const auto count = std::count_if(fields.begin(), fields.end(), [](const Field& field) {
    return field.id == FieldId::kTraceparent;
  });
  return count == 1 ? first->value : std::string_view();
}

}  // namespace penstock
