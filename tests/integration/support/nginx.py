"""nginx as a TLS origin, with a ledger of its connections."""

import hashlib
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .ports import free_ports
from .waiting import wait_until

SIZES = {"1k": 1 << 10, "64k": 64 << 10, "1m": 1 << 20, "50m": 50 << 20}

CONFIG = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
worker_rlimit_nofile 8192;
include /etc/nginx/modules-enabled/*.conf;
events {{ worker_connections 4096; }}
http {{
  log_format ledger '$connection $connection_requests $msec $request_time $ssl_session_reused $request_uri';
  access_log {log};
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  keepalive_timeout 600s;
  client_max_body_size 1g;
  default_type application/octet-stream;
  sendfile on;
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {certificate.cert};
    ssl_certificate_key {certificate.key};
    ssl_protocols {protocols};
    location = /hello {{ default_type text/plain; return 200 "hello from $host\\n"; }}
    location = /nothing {{ return 204; }}
    location = /slow {{ echo_sleep 0.025; echo hello; }}
    location = /upload {{ client_body_buffer_size 64k; echo_read_request_body; echo got; }}
    location /bytes/ {{ alias {files}/; }}
  }}
  {more}
}}
"""


@dataclass
class Exchange:
    connection: int
    number: int      # 1 is the connection's first
    ended: float
    seconds: float
    resumed: bool
    path: str


class NginxOrigin:
    def __init__(self, folder, certificate, protocols="TLSv1.2 TLSv1.3", log=True, more=""):
        """`more` is put into the http block as it is: further servers."""
        self.folder, self._more = Path(folder), more
        self.tls = True
        self._certificate, self._protocols, self._log = certificate, protocols, log
        files = self.folder / "files"
        files.mkdir(parents=True)
        self.hashes = {name: _write(files / name, size) for name, size in SIZES.items()}
        self._start(files)

    def _start(self, files):
        for _ in range(5):
            self.port, = free_ports(1)
            (self.folder / "nginx.conf").write_text(CONFIG.format(
                user="user root;" if os.getuid() == 0 else "", folder=self.folder, files=files, port=self.port,
                certificate=self._certificate, protocols=self._protocols, log=f"{self.log_path} ledger" if self._log else "off",
                more=self._more))
            self.process = subprocess.Popen(
                ["nginx", "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: self._listens() or self.process.poll() is not None, "nginx starts")
            if self.process.poll() is None:
                return
        raise AssertionError("nginx does not start: " + (self.folder / "error.log").read_text())

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    @property
    def log_path(self):
        return self.folder / "ledger.log"

    def ledger(self, path=None):
        """Every finished request, in the order in which they ended; with `path` only those to it."""
        entries = []
        text = self.log_path.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():  # the last one may be half written
            connection, number, ended, seconds, resumed, uri = line.split(" ", 5)
            entries.append(Exchange(int(connection), int(number), float(ended), float(seconds), resumed == "r", uri))
        return [entry for entry in entries if path is None or entry.path == path]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def busy_peak(exchanges):
    """The most connections that were serving a request at one instant (1 ms is nginx's clock)."""
    edges = []
    for entry in exchanges:
        ended = round(entry.ended * 1000)
        edges += [(ended - round(entry.seconds * 1000), 1), (ended, -1)]
    busy = peak = 0
    for _, step in sorted(edges):  # at one instant ends come before beginnings
        busy += step
        peak = max(peak, busy)
    return peak


def _write(path, size):
    block = os.urandom(min(size, 1 << 20))
    data = block * (size // len(block))
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
