"""Runs ordinary programs in Python, Node and Go under `penstock doctor`, in front of a TLS origin, and
shows what it says of them. Fails unless it says of each what is true."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from support.ca import CertificateAuthority  # noqa: E402
from support.penstock import BINARY  # noqa: E402
from support.stack import Stack  # noqa: E402

URLS = ["http://api.test/hello?1", "http://api.test/hello?2"]
PROGRAMS = HERE / "programs"


def doctor(folder, config, says, *command):
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    # Go's caches may live anywhere; a root without HOME needs to be told.
    environment.setdefault("GOCACHE", f"{folder}/go-cache")
    print("$ penstock doctor --", shlex.join(map(str, command)).replace(f"{HERE}/", ""))
    done = subprocess.run([BINARY, "doctor", "-c", str(config), "--", *map(str, command)], env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    print(done.stdout)
    assert says in done.stdout, f"it does not say: {says}"


def run(folder):
    stack = Stack(Path(folder), CertificateAuthority(Path(folder) / "ca"))
    try:
        origin = stack.nginx()
        config = Path(folder) / "penstock.yaml"
        config.write_text(f"upstreams:\n  - name: api\n    hosts: [api.test]\n    connect_to: 127.0.0.1:{origin.port}\n"
                          f"    tls: {{ca_file: {stack.ca.file}}}\n")
        reused = "upstream 1 connection opened, 1 reused"
        doctor(folder, config, reused, "/usr/bin/python3", PROGRAMS / "clients.py", "requests", *URLS)
        doctor(folder, config, "nothing came", "node", PROGRAMS / "clients.cjs", "fetch", *URLS)
        doctor(folder, config, reused, "node", PROGRAMS / "clients.cjs", "http", *URLS)
        doctor(folder, config, "1 connection opened, 2 reused", "go", "run", HERE / "go_client.go", URLS[0], URLS[1])
    finally:
        stack.close()


with tempfile.TemporaryDirectory() as scratch:
    run(scratch)
