#include "vectors.h"

namespace penstock::test {

namespace {

using namespace std::string_literals;

std::string ok(const std::string& fields, const std::string& body = "") {
  return "HTTP/1.1 200 OK\r\n" + fields + "\r\n" + body;
}

std::string ok_chunks(const std::string& body) {
  return ok("Transfer-Encoding: chunked\r\n", body);
}

std::string status(const std::string& status_line) {
  return status_line + "\r\nContent-Length: 0\r\n\r\n";
}

constexpr ErrorCode kProtocol = ErrorCode::kHttpProtocolError;
constexpr ErrorCode kCoding = ErrorCode::kHttpResponseTransferCoding;

}  // namespace

const std::vector<Vector>& response_vectors() {
  static const std::vector<Vector> vectors = {
      // Status line, RFC 9112 section 4.
      {"9112 4 plain", status("HTTP/1.1 200 OK"), 0, "200 OK 1.1 keep length 0"},
      {"9112 4 no reason", status("HTTP/1.1 200 "), 0, "200  1.1"},
      {"9112 4 no reason and no space", status("HTTP/1.1 200"), 0, "200  1.1"},
      {"9112 4 obs-text and a tab in the reason", status("HTTP/1.1 200 d\xe9j\tvu"), 0,
       "d\xe9j\tvu"},
      {"9112 4 a code that nobody knows", status("HTTP/1.1 299 Hm"), 0, "299 Hm"},
      {"9112 4 599", status("HTTP/1.1 599 x"), 0, "599 x"},
      {"9112 4 HTTP/1.0", status("HTTP/1.0 200 OK"), 0, "200 OK 1.0 close"},
      {"9112 4 two spaces before the code", status("HTTP/1.1  200 OK"), 502, "status line",
       kProtocol},
      {"9112 4 a tab before the code", status("HTTP/1.1\t200 OK"), 502, "status line", kProtocol},
      {"9112 4 a tab behind the code", status("HTTP/1.1 200\tOK"), 502, "status line", kProtocol},
      {"9112 4 two digits", status("HTTP/1.1 20 OK"), 502, "status line", kProtocol},
      {"9112 4 four digits", status("HTTP/1.1 2000 OK"), 502, "status line", kProtocol},
      {"9112 4 letters", status("HTTP/1.1 2xx OK"), 502, "status line", kProtocol},
      {"9112 4 a sign", status("HTTP/1.1 +20 OK"), 502, "status line", kProtocol},
      {"9112 4 a letter behind", status("HTTP/1.1 200OK"), 502, "status line", kProtocol},
      {"9112 4 no code", status("HTTP/1.1 OK"), 502, "status line", kProtocol},
      {"9110 15 code 099", status("HTTP/1.1 099 x"), 502, "status line", kProtocol},
      {"9110 15 code 000", status("HTTP/1.1 000 x"), 502, "status line", kProtocol},
      {"9110 15 code 600", status("HTTP/1.1 600 x"), 502, "status line", kProtocol},
      {"9110 15 code 999", status("HTTP/1.1 999 x"), 502, "status line", kProtocol},
      {"9112 4 NUL in the reason", status("HTTP/1.1 200 O\0K"s), 502, "control", kProtocol},
      {"9112 4 CR in the reason", status("HTTP/1.1 200 O\rK"), 502, "CR without", kProtocol},
      {"9112 4 LF ends the status line", "HTTP/1.1 200 OK\nA: b\r\n\r\n", 502, "LF", kProtocol},
      {"9110 2.5 HTTP/1.2", status("HTTP/1.2 200 OK"), 502, "status line", kProtocol},
      {"9110 2.5 HTTP/2.0", status("HTTP/2.0 200 OK"), 502, "HTTP/1.", kProtocol},
      {"9110 2.5 two digits", status("HTTP/1.10 200 OK"), 502, "status line", kProtocol},
      {"9110 2.5 lower case", status("http/1.1 200 OK"), 502, "HTTP/1.", kProtocol},
      {"9112 4 ICY", status("ICY 200 OK"), 502, "HTTP/1.", kProtocol},
      {"9112 4 HTTP/0.9", "<html>", 502, "HTTP/1.", kProtocol},
      {"9112 4 a banner", "220 mail.example ESMTP\r\n", 502, "HTTP/1.", kProtocol},
      {"9112 4 a TLS alert", "\x15\x03\x01"s, 502, "HTTP/1.", kProtocol},
      {"9112 4 an empty line before", "\r\n" + ok(""), 502, "HTTP/1.", kProtocol},
      {"9112 4 a space before", " " + ok(""), 502, "HTTP/1.", kProtocol},
      // Field lines.
      {"9112 5.1 a space before the colon", ok("A : b\r\n"), 502, "colon", kProtocol},
      {"9112 5.1 Content-Length with a space", ok("Content-Length : 1\r\n", "x"), 502, "colon",
       kProtocol},
      {"9110 5.1 an empty name", ok(": b\r\n"), 502, "field name", kProtocol},
      {"9110 5.1 no colon", ok("A\r\n"), 502, "field name", kProtocol},
      {"9110 5.1 no token", ok("A b: c\r\n"), 502, "field name", kProtocol},
      {"9110 5.5 NUL", ok("A: b\0\r\n"s), 502, "control", kProtocol},
      {"9110 5.5 bare CR", ok("A: b\rc\r\n"), 502, "CR without", kProtocol},
      {"9110 5.5 bare LF", ok("A: b\nc: d\r\n"), 502, "LF without", kProtocol},
      {"9110 5.5 obs-text", ok("A: \xe9\r\nContent-Length: 0\r\n"), 0, "[A=\xe9]"},
      {"9112 5.2 a folded line is joined", ok("A: b\r\n c\r\nContent-Length: 0\r\n"), 0,
       "[A=b   c][Content-Length=0]"},
      {"9112 5.2 folded twice, with tabs", ok("A: b\r\n\tc\r\n d\r\nContent-Length: 0\r\n"), 0,
       "[A=b  \tc   d]"},
      {"9112 5.2 a fold of blanks only", ok("A: b\r\n  \r\nContent-Length: 0\r\n"), 0, "[A=b]"},
      {"9112 5.2 a folded length", ok("Content-Length:\r\n 2\r\n", "ab"), 0, "length 2"},
      {"9112 5.2 a fold that lengthens the length", ok("Content-Length: 1\r\n 2\r\n", "ab"), 502,
       "Content-Length", kProtocol},
      {"9112 5.2 a fold that adds a coding", ok("Transfer-Encoding: chunked\r\n , gzip\r\n"), 502,
       "exactly", kCoding},
      {"9112 5.2 a fold of the name", ok("A\r\n : b\r\n"), 502, "colon", kProtocol},
      {"9112 2.2 white space before the first field", ok(" A: b\r\n"), 502, "white space",
       kProtocol},
      // Content-Length.
      {"9110 8.6 a length", ok("Content-Length: 5\r\n", "hello"), 0, "end after \"hello\""},
      {"9110 8.6 twice", ok("Content-Length: 5\r\nContent-Length: 5\r\n"), 502, "more than one",
       kProtocol},
      {"9110 8.6 a list", ok("Content-Length: 5, 5\r\n"), 502, "Content-Length", kProtocol},
      {"9110 8.6 a sign", ok("Content-Length: +5\r\n"), 502, "Content-Length", kProtocol},
      {"9110 8.6 empty", ok("Content-Length: \r\n"), 502, "Content-Length", kProtocol},
      {"9110 8.6 2^63", ok("Content-Length: 9223372036854775808\r\n"), 502, "below", kProtocol},
      {"9110 8.6 2^64 + 1", ok("Content-Length: 18446744073709551617\r\n"), 502, "below",
       kProtocol},
      // Transfer-Encoding.
      {"9112 6.1 chunked", ok_chunks("5\r\nhello\r\n0\r\n\r\n"), 0, "keep chunked"},
      {"9112 6.1 gzip", ok("Transfer-Encoding: gzip\r\n"), 502, "exactly", kCoding},
      {"9112 6.1 gzip, chunked", ok("Transfer-Encoding: gzip, chunked\r\n"), 502, "exactly",
       kCoding},
      {"9112 6.1 chunked, gzip", ok("Transfer-Encoding: chunked, gzip\r\n"), 502, "exactly",
       kCoding},
      {"9112 6.1 identity", ok("Transfer-Encoding: identity\r\n"), 502, "exactly", kCoding},
      {"9112 6.1 identity, then chunked",
       ok("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 502,
       "exactly", kCoding},
      {"9112 6.1 twice", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 502,
       "exactly", kCoding},
      {"9112 6.1 quotes", ok("Transfer-Encoding: \"chunked\"\r\n"), 502, "exactly", kCoding},
      {"9112 6.1 in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       502, "HTTP/1.0", kCoding},
      {"9112 6.3 with a length before",
       ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 502, "together",
       kProtocol},
      {"9112 6.3 with a length behind",
       ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 502, "together",
       kProtocol},
      {"9112 6.3 another coding and a length",
       ok("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "hello"), 502, "together", kProtocol},
      // Chunks and trailers.
      {"9112 7.1 a bad size", ok_chunks("x\r\n"), 502, "chunk size", kCoding},
      {"9112 7.1 0x", ok_chunks("0x1\r\na\r\n0\r\n\r\n"), 502, "chunk size", kCoding},
      {"9112 7.1 2^64", ok_chunks("10000000000000000\r\n"), 502, "too large", kCoding},
      {"9112 7.1 LF ends the size", ok_chunks("1\na\r\n0\r\n\r\n"), 502, "CRLF", kCoding},
      {"9112 7.1 LF behind the content", ok_chunks("1\r\na\n0\r\n\r\n"), 502, "not followed",
       kCoding},
      {"9112 7.1 an extension", ok_chunks("1;a=b\r\nx\r\n0\r\n\r\n"), 0, "\"x\""},
      {"9112 7.1 CR in an extension", ok_chunks("1;a\rb\r\nx\r\n0\r\n\r\n"), 502, "CRLF", kCoding},
      {"9112 7.1.2 trailers", ok_chunks("0\r\nA: b\r\n\r\n"), 0, "end after \"\"[A=b]"},
      {"9112 7.1.2 a folded trailer", ok_chunks("0\r\nA: b\r\n c\r\n\r\n"), 0, "[A=b   c]"},
      {"9112 7.1.2 a malformed trailer", ok_chunks("0\r\nA b\r\n\r\n"), 502, "trailer", kProtocol},
      {"9112 7.1.2 LF ends a trailer", ok_chunks("0\r\nA: b\n\r\n"), 502, "LF without", kProtocol},
      // Messages without a body, RFC 9112 section 6.3.
      {"9112 6.3 HEAD with a length",
       ok("Content-Length: 5\r\n"),
       0,
       "keep none[Content-Length=5]",
       {},
       Method::kHead},
      {"9112 6.3 HEAD with a coding",
       ok("Transfer-Encoding: chunked\r\n"),
       0,
       "keep none",
       {},
       Method::kHead},
      {"9112 6.3 HEAD with nothing", ok(""), 0, "keep none", {}, Method::kHead},
      {"9112 6.3 HEAD with a bad length", ok("Content-Length: x\r\n"), 502, "Content-Length",
       kProtocol, Method::kHead},
      {"9112 6.3 204 with a length", "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", 0, "keep none"},
      {"9112 6.3 204 with a coding", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
       "keep none"},
      {"9112 6.3 304 with a length", "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", 0, "keep none"},
      {"9112 6.3 304 with nothing", "HTTP/1.1 304 x\r\n\r\n", 0, "304 x 1.1 keep none"},
      {"9110 15.3.6 205 has a frame", "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", 0, "length 0"},
      {"9112 6.3 CONNECT and 200", ok("Content-Length: 5\r\n"), 0, "none", {}, Method::kConnect},
      {"9112 6.3 CONNECT and 403",
       "HTTP/1.1 403 x\r\nContent-Length: 1\r\n\r\ny",
       0,
       "\"y\"",
       {},
       Method::kConnect},
      // Until close, RFC 9112 section 6.3.
      {"9112 6.3 no length", ok("", "all the rest"), 0, "1.1 close until close"},
      {"9112 6.3 no length in HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nrest", 0, "1.0 close until close"},
      {"9112 6.3 no length, keep-alive", ok("Connection: keep-alive\r\n", "rest"), 0,
       "1.1 close until close"},
      // Interim responses, RFC 9110 section 15.2.
      {"9110 15.2 100, then 200",
       "HTTP/1.1 100 Continue\r\n\r\n" + ok("Content-Length: 1\r\n", "x"), 0,
       "head 100 Continue 1.1 keep none\nend after \"\"\nhead 200 OK 1.1 keep length 1"},
      {"9110 15.2 three of them",
       "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n" +
           ok("Content-Length: 0\r\n"),
       0, "head 103 E 1.1 keep none[Link=x]"},
      {"9110 15.2 a length in a 1xx",
       "HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n" + ok("Content-Length: 0\r\n"), 0,
       "103 E 1.1 keep none"},
      {"9110 15.2 before HEAD's answer",
       "HTTP/1.1 100 C\r\n\r\n" + ok("Content-Length: 5\r\n"),
       0,
       "head 200 OK 1.1 keep none",
       {},
       Method::kHead},
      {"9110 15.2.2 101 is a head like others",
       "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 0, "101 S 1.1 keep none"},
      {"9110 15.2 garbage behind a 1xx", "HTTP/1.1 100 C\r\n\r\nx", 502, "HTTP/1.", kProtocol},
      // Persistence.
      {"9112 9.3 close", ok("Connection: close\r\nContent-Length: 0\r\n"), 0, "1.1 close length"},
      {"9112 9.3 close on the second line",
       ok("Connection: x\r\nConnection: y, close\r\nContent-Length: 0\r\n"), 0, "1.1 close"},
      {"9112 9.3 a body behind close", ok("Connection: close\r\nContent-Length: 2\r\n", "ab"), 0,
       "end after \"ab\""},
      {"9112 9.3 chunks behind close",
       ok("Connection: close\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), 0,
       "\"a\""},
      {"9112 9.3 keep-alive in HTTP/1.0",
       "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 0, "1.0 keep"},
      {"9110 7.8 426 with Upgrade",
       "HTTP/1.1 426 x\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\ny", 0,
       "\"y\""},
  };
  return vectors;
}

}  // namespace penstock::test
