// Which fields of a message go on to the other side.
//
// Internal to http/. Hop-by-hop fields stay (RFC 9110 section 7.6.1), and with them what we write
// ourselves and what Connection names.
#pragma once

#include "http/head.h"

namespace penstock {

// What the Connection fields of one head name; looks at the head, which outlives it.
class Nominations {
 public:
  explicit Nominations(const FieldList& fields);
  // True when Connection names the field and may take it away.
  bool remove(const Field& field) const { return any_ && names(field); }

 private:
  bool names(const Field& field) const;

  const FieldList& fields_;
  bool any_ = false;
};

// Fields that are dropped whatever Connection says, since they are about one hop or written by us.
// `chunked`: the message leaves with trailers possible, so that Trailer has something to announce.
bool passes_in_request(FieldId id, bool chunked);
bool passes_in_response(FieldId id, bool chunked);

// RFC 9110 section 6.5.1: a trailer must not frame, route or authenticate after the fact.
bool may_be_trailer(const Field& field);

}  // namespace penstock
