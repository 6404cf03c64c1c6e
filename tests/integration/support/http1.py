"""A strict HTTP/1.1 reader for both sides of the proxy: what it accepts, the proxy may send.

Nothing is tolerated: a bare CR or LF, white space before a colon, a folded line, a repeated or odd
Content-Length, a chunk size with anything but hex digits all raise Malformed.
"""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])\Z")
HEX = re.compile(rb"[0-9A-Fa-f]+\Z")
DIGITS = re.compile(rb"[0-9]+\Z")


class Malformed(Exception):
    """The peer wrote what HTTP/1.1 does not allow."""


class Truncated(Exception):
    """The peer closed (`reset` says how) in the middle of a message."""

    def __init__(self, what, reset=False):
        super().__init__(f"{what} ({'reset' if reset else 'closed'})")
        self.reset = reset


@dataclass
class Message:
    fields: list = field(default_factory=list)  # (name, value), as spelled
    body: bytes = b""
    trailers: list = field(default_factory=list)
    chunks: list = field(default_factory=list)  # sizes, when chunked
    raw_head: bytes = b""

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None

    @property
    def chunked(self):
        codings = self.all("transfer-encoding")
        if codings and codings != ["chunked"]:
            raise Malformed(f"Transfer-Encoding: {codings}")
        if codings and self.all("content-length"):
            raise Malformed("Content-Length beside Transfer-Encoding")
        return bool(codings)

    @property
    def content_length(self):
        value = self.get("content-length")
        if value is not None and not DIGITS.match(value.encode("latin-1")):
            raise Malformed(f"Content-Length: {value!r}")
        return None if value is None else int(value)


@dataclass
class Request(Message):
    method: str = ""
    target: str = ""
    version: str = ""


@dataclass
class Response(Message):
    status: int = 0
    reason: str = ""
    version: str = ""

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Reader:
    """Takes messages off a stream; `receive()` returns bytes, b"" at its end."""

    def __init__(self, receive):
        self._receive = receive
        self.buffer = bytearray()
        self.ended = False

    def fill(self, what):
        data = self._more(what)
        if not data:
            raise Truncated(what)

    def _more(self, what):
        if self.ended:
            return b""
        try:
            data = self._receive()
        except ConnectionResetError:
            raise Truncated(what, reset=True) from None
        self.ended = not data
        self.buffer += data
        return data

    def at_end(self):
        return not self.buffer and not self._more("between messages")

    def line(self):
        while b"\n" not in self.buffer:
            self.fill("in a line")
        end = self.buffer.index(b"\n")
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 1]
        if not line.endswith(b"\r"):
            raise Malformed(f"bare LF after {line[-60:]!r}")
        line = line[:-1]
        if b"\r" in line or b"\0" in line:
            raise Malformed(f"CR or NUL in {line[:60]!r}")
        return line

    def exactly(self, count):
        while len(self.buffer) < count:
            self.fill(f"{count - len(self.buffer)} bytes short of a body")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def until_close(self):
        while self._more("in a close-delimited body"):
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def fields(self, raw=None):
        fields = []
        while True:
            line = self.line()
            if raw is not None:
                raw += line + b"\r\n"
            if not line:
                return fields
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or not TOKEN.match(name) or not FIELD_VALUE.match(value):
                raise Malformed(f"field line {line[:80]!r}")
            fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def chunked_body(self, message, body):
        while True:
            size = self.line()
            if not HEX.match(size):
                raise Malformed(f"chunk size {size[:40]!r}")
            size = int(size, 16)
            if size == 0:
                message.trailers = self.fields()
                return
            message.chunks.append(size)
            body += self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise Malformed("no CRLF after a chunk")

    def request_head(self):
        """The next request's head, or None when the stream ended before one began."""
        if self.at_end():
            return None
        raw = bytearray()
        line = self.line()
        raw += line + b"\r\n"
        match = REQUEST_LINE.match(line)
        if not match:
            raise Malformed(f"request line {line[:80]!r}")
        method, target, minor = (group.decode("latin-1") for group in match.groups())
        request = Request(method=method, target=target, version=f"1.{minor}", fields=self.fields(raw))
        request.raw_head = bytes(raw)
        return request

    def request_body(self, request):
        if request.chunked:
            body = bytearray()
            self.chunked_body(request, body)
            request.body = bytes(body)
        else:
            request.body = self.exactly(request.content_length or 0)

    def response_head(self):
        raw = bytearray()
        line = self.line()
        raw += line + b"\r\n"
        match = STATUS_LINE.match(line)
        if not match:
            raise Malformed(f"status line {line[:80]!r}")
        minor, status, reason = (group.decode("latin-1") for group in match.groups())
        response = Response(status=int(status), reason=reason, version=f"1.{minor}", fields=self.fields(raw))
        response.raw_head = bytes(raw)
        return response

    def response_body(self, response, method):
        """Reads the body into response.body; on Truncated the part that came is kept there."""
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return
        body = bytearray()
        try:
            if response.chunked:
                self.chunked_body(response, body)
            elif response.content_length is not None:
                body += self.exactly(response.content_length)
            else:
                body += self.until_close()
        except Truncated:
            response.body = bytes(body) or bytes(self.buffer)
            raise
        response.body = bytes(body)
