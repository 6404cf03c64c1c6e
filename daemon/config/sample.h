// The files in config/ that operators start from, made from the table of keys.
#pragma once

#include <string>

namespace penstock {

// Every key at its default, commented out: the file as it stands changes nothing, and neither does
// it with every "# " at the start of a line removed. Lines that start with "##" stay comments.
std::string sample_yaml();
// A small file of the usual shape.
std::string minimal_yaml();
// The two profiles that the sample shows in its comments: tight APIs, streaming.
std::string profiles_yaml();
// The key of an upstream that the sample shows as an example only.
std::string routes_yaml();

}  // namespace penstock
