// The keys that hold parts of an HTTP message: methods, the beginnings of paths, names of fields.
// Each check returns the text, or what is wrong with it.
#pragma once

#include <string>
#include <string_view>

#include "config/values.h"

namespace penstock {

Parsed<std::string> check_method(std::string_view text);       // a token in capitals
Parsed<std::string> check_path_prefix(std::string_view text);  // as a request line may hold it
// A field that apps may use for their deadline: none that the proxy acts on otherwise.
Parsed<std::string> check_deadline_header(std::string_view text);

}  // namespace penstock
