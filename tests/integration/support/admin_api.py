"""What the admin address of a running daemon serves, as it says itself."""

import re

from .client import Client

CONSENT = {"Penstock-Admin": "1"}


def routes(port):
    """(method, path) of each route of an admin address, "NAME" where any name stands: from the answer that names them."""
    with Client(port) as client:
        refused = client.fetch("/no-such-page", host="localhost")
    assert refused.status == 404, refused.status
    found = re.findall(r"(GET|POST) (/[^\s,]*)", refused.text)
    assert found, refused.text
    return found


def target_of(path, name="api"):
    return path.replace("NAME", name)
