// llhttp built with LLHTTP_STRICT_MODE=0 and asked alone: what is left when our choice of mode and
// all checks of our own are taken away. A library of its own, since the daemon's llhttp has the same
// names.
#pragma once

#include <cstddef>

extern "C" {

// Whether it takes the bytes. `no_body`: they are a response to HEAD.
bool lenient_llhttp_takes(bool request, const char* bytes, std::size_t size, bool no_body);
}
