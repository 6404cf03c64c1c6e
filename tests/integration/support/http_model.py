"""What the proxy has to make of a message that is well-formed, written from the RFCs and design/http.md alone.

It reads what our rules allow and http1.Reader does not (extensions, leading zeros, folds of responses), and says
byte for byte which head has to leave on the other side.
"""

import re
from dataclasses import dataclass, field

HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"te",
              b"transfer-encoding", b"upgrade", b"http2-settings", b"proxy", b"content-length"}
NEVER_NAMED = re.compile(rb"(host|content-.*|transfer-encoding|authorization|cookie|set-cookie|cache-control|via|forwarded|"
                         rb"x-forwarded-.*|date|location)\Z")


@dataclass
class Message:
    start: list  # the three parts of the first line
    fields: list = field(default_factory=list)  # (name, value)
    body: bytes = b""
    trailers: list = field(default_factory=list)
    until_close: bool = False

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    def options(self, name):
        return [word.strip().lower() for value in self.all(name) for word in value.split(b",")]

    @property
    def chunked(self):
        return bool(self.all(b"transfer-encoding"))

    @property
    def length(self):
        found = self.all(b"content-length")
        return int(found[0]) if found else None

    def named_by_connection(self, name):
        return name in self.options(b"connection") and not NEVER_NAMED.match(name)

    def end_to_end(self, without=()):
        return [(name, value) for name, value in self.fields
                if name.lower() not in HOP_BY_HOP and name.lower() not in without
                and not self.named_by_connection(name.lower())]


def read_fields(section):
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"  ", section)
    return [(name, value.strip(b" \t")) for name, _, value in
            (line.partition(b":") for line in unfolded.split(b"\r\n") if line)]


def read_chunks(data):
    """(content, trailers, what is behind)"""
    content = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if size == 0:
            section, end, rest = (b"\r\n" + data).partition(b"\r\n\r\n")
            assert end
            return content, read_fields(section), rest
        content, data = content + data[:size], data[size + 2:]


def read_head(data):
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end, data
    line, _, section = head.partition(b"\r\n")
    return Message((line.split(b" ", 2) + [b"", b""])[:3], read_fields(section)), rest


def read_requests(data):
    """Those that are served: what is behind a close is not."""
    messages = []
    while data:
        message, data = read_head(data.removeprefix(b"\r\n"))
        if message.chunked:
            message.body, message.trailers, data = read_chunks(data)
        else:
            message.body, data = data[:message.length or 0], data[message.length or 0:]
        messages.append(message)
        if message.start[2] == b"HTTP/1.0" or b"close" in message.options(b"connection"):
            break
    return messages


def read_responses(data, method):
    """Interim ones and the final one."""
    messages = []
    while data:
        message, data = read_head(data)
        status = int(message.start[1])
        if status >= 200 and status not in (204, 304) and method != "HEAD":
            read_response_body(message, data)
            data = b""
        messages.append(message)
    return messages


def read_response_body(message, data):
    if message.chunked:
        message.body, message.trailers, _ = read_chunks(data)
    else:
        message.until_close = message.length is None
        message.body = data[:message.length]


def lines(first, fields):
    return first + b"\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n"


def framing(message):
    if message.chunked:
        return [(b"Transfer-Encoding", b"chunked")]
    return [] if message.length is None else [(b"Content-Length", b"%d" % message.length)]


def authority_of(message):
    target = message.start[1]
    if target.startswith(b"http://"):
        return target[7:].partition(b"/")[0]
    return message.all(b"host")[0]


def forwarded_request(message, pseudonym):
    """The heads that the origin may receive: of an expectation nothing is said once the body has come."""
    told = head_of_request(message, pseudonym)
    return {told, told.replace(b"Expect: 100-continue\r\n", b"")} if message.body else {told}


def head_of_request(message, pseudonym):
    method, target, version = message.start
    host = authority_of(message)
    target = target.split(b"#")[0].removeprefix(b"http://" + host)
    without = {b"host", b"expect"} | (set() if message.chunked else {b"trailer"})
    fields = [(b"Host", host), *message.end_to_end(without), *framing(message)]
    if b"100-continue" in message.options(b"expect") and version == b"HTTP/1.1":
        fields.append((b"Expect", b"100-continue"))
    connection = []
    if b"trailers" in message.options(b"te"):
        fields.append((b"TE", b"trailers"))
        connection.append(b"TE")
    offered = [word for word in message.options(b"upgrade") if word != b"h2c"]
    if offered and b"upgrade" in message.options(b"connection"):
        fields.append((b"Upgrade", b", ".join(offered)))
        connection.append(b"upgrade")
    if connection:
        fields.append((b"Connection", b", ".join(connection)))
    fields.append((b"Via", version[5:] + b" " + pseudonym))
    return lines(method + b" " + (target or b"/") + b" HTTP/1.1", fields)


def forwarded_response(message, method, pseudonym, keep_alive):
    """The head that a client of HTTP/1.1 has to receive, with its Date left out where we gave it one."""
    version, status, reason = message.start
    code, interim = int(status), int(status) < 200
    chunked = message.chunked or message.until_close
    no_body = interim or code in (204, 304) or method == "HEAD"
    fields = message.end_to_end(set() if chunked and not no_body else {b"trailer"})
    if not no_body:
        fields += [(b"Transfer-Encoding", b"chunked")] if chunked else framing(message)
    elif code == 304 or (method == "HEAD" and not interim):
        fields += [(name, value) for name, value in message.fields if name.lower() == b"content-length"]
    if not interim:
        fields += [(b"Connection", b"keep-alive"), (b"Keep-Alive", keep_alive)]
    fields.append((b"Via", version[5:] + b" " + pseudonym))
    return lines(b"HTTP/1.1 " + status + b" " + reason, fields)
