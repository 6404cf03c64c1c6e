"""The origin that the clients' exercises go to, what it serves, and what each exercise should show."""

import hashlib
import os

BASE, REFUSING = "http://api.test", "http://refusing.test/"
UPLOAD = os.urandom(200_003)
DOWNLOAD = os.urandom(3_000_001)
LANDED = b"landed"
TAKEN = b"taken"
MISSING = b"nothing is here"
UNAVAILABLE = b"not now"


def told(status, body):
    return [status, len(body), hashlib.sha256(body).hexdigest()]


# By path, as the client should see it; a redirect is followed.
SHOWN = {
    "upload": told(200, TAKEN), "chunked": told(200, TAKEN), "download": told(200, DOWNLOAD), "moved": told(200, LANDED),
    "relative": told(200, LANDED), "missing": told(404, MISSING), "unavailable": told(503, UNAVAILABLE),
}

REPLIES = {
    "/upload": (TAKEN, "200 OK", {}), "/chunked": (TAKEN, "200 OK", {}), "/download": (DOWNLOAD, "200 OK", {}),
    "/moved": (b"", "302 Found", {"Location": "https://api.test/landed"}),
    "/relative": (b"", "302 Found", {"Location": "landed"}), "/rooted": (b"", "302 Found", {"Location": "/landed"}),
    "/landed": (LANDED, "200 OK", {}),
    "/unavailable": (UNAVAILABLE, "503 Service Unavailable", {}),
}


def reply(connection, request):
    """By the path; 404 for what there is not."""
    body, status, fields = REPLIES.get(request.target.split("?")[0], (MISSING, "404 Not Found", {}))
    connection.reply(body, status, fields)


def serve(connection):
    """Reads whole requests, sends 100 to those who wait for it, and replies."""
    while request := connection.read_head():
        if request.get("expect"):
            connection.send("HTTP/1.1 100 Continue\r\n\r\n")
        connection.reader.request_body(request)
        reply(connection, request)


def uploads(origin, path):
    """(framing, whether the bytes are UPLOAD's) of each request to the path."""
    return [("chunked" if request.chunked else request.content_length, request.body == UPLOAD)
            for request in origin.requests if request.target == path]
