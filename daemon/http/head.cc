#include "http/head.h"

namespace penstock {

void MessageHead::clear_message() {
  version = HttpVersion::k11;
  fields.clear();
  trailers.clear();
  framing = {};
  keep_alive = false;
  binds_connection = false;
  head_bytes = 0;
  arena.clear();
  trailer_arena.clear();
}

void RequestHead::clear() {
  clear_message();
  method = Method::kGet;
  method_name = {};
  target = {};
  expects_continue = false;
}

void ResponseHead::clear() {
  clear_message();
  status = 0;
  reason = {};
}

}  // namespace penstock
