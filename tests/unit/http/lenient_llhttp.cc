#include "lenient_llhttp.h"

#include <llhttp.h>

static_assert(LLHTTP_STRICT_MODE == 0);

extern "C" __attribute__((visibility("default"))) bool lenient_llhttp_takes(bool request,
                                                                            const char* bytes,
                                                                            std::size_t size,
                                                                            bool no_body) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_headers_complete = [](llhttp_t* parser) { return parser->data != nullptr ? 1 : 0; };
  llhttp_t parser;
  llhttp_init(&parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
  parser.data = no_body ? &parser : nullptr;
  const llhttp_errno_t error = llhttp_execute(&parser, bytes, size);
  return error == HPE_OK || error == HPE_PAUSED_UPGRADE;
}
