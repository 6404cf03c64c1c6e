"""Shows curl, Python requests and Go going through penstock to one TLS origin, and what the access
log, /pools and the origin's own ledger say about it. Fails unless everything but the first request
reused a connection."""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support.ca import CertificateAuthority  # noqa: E402
from support.scripted_origin import answering  # noqa: E402
from support.stack import Stack  # noqa: E402

URL, UPLOAD = "http://api.test/hello", "http://upload.test/take"


def show(environment, *command):
    print("$ http_proxy=" + environment["http_proxy"], shlex.join(command).replace(f"{HERE}/", ""), flush=True)
    subprocess.run(command, env=environment, check=True, timeout=120)


def line_of(entry):
    phases = " ".join(f"{key[:-3]} {entry[key]}" for key in entry if key.endswith("_ms"))
    return (f"{entry['method']:4} {entry['host']}{entry['path']} {entry['status']} "
            f"{'reused' if entry['reused'] else 'new   '} connection {entry['conn_id']} "
            f"request {entry['conn_requests']} on it | ms: {phases}")


def take(connection, request):
    connection.reply(f"took {len(request.body)} bytes of a {request.method}".encode())


def run(folder):
    stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
    try:
        origin, uploads = stack.nginx(), stack.origin(answering(take), names=("upload.test",))
        proxy = stack.penstock(stack.to(origin), stack.to(uploads, "upload.test", name="upload"))
        environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        environment["http_proxy"] = proxy.url
        # Go's caches may live anywhere; a root without HOME needs to be told.
        environment.setdefault("GOCACHE", f"{folder}/go-cache")

        show(environment, "curl", "-sS", f"{URL}?curl=1", f"{URL}?curl=2")
        show(environment, "curl", "-sS", "-d", "twelve bytes", "-w", r"\n", UPLOAD)
        show(environment, "/usr/bin/python3", str(HERE / "requests_client.py"), URL, UPLOAD)
        show(environment, "go", "run", str(HERE / "go_client.go"), URL, UPLOAD)

        entries = proxy.wait_for_log(count=9)
        print("\nThe access log:")
        print("\n".join(map(line_of, entries)))
        print("\nThe origin's ledger (connection, request on it, resumed):")
        for entry in origin.ledger():
            print(entry.connection, entry.number, entry.resumed, entry.path)
        pools = {host["origin"]: {key: host[key] for key in ("opened", "acquires")}
                 for name in ("api", "upload") for host in proxy.pools(name)}
        print("\n/pools:", json.dumps(pools))
        fresh = [entry for entry in entries if not entry["reused"]]
        assert len(fresh) == 2, "one new connection per host, everything else reuses"
        print(f"\n{len(entries)} requests, {len(fresh)} connections opened, {len(entries) - len(fresh)} reuses")
    finally:
        stack.close()


with tempfile.TemporaryDirectory() as scratch:
    run(scratch)
