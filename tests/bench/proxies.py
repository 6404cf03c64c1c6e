"""Penstock and nginx for the benchmarks, and what every proxy there has in common: it writes its configuration,
starts, maybe under a tool, is measured by the kernel's own counts, and ends. peers.py has the others."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from support.penstock import BINARY, free_ports, merged  # noqa: E402
from support.waiting import wait_until  # noqa: E402

NGINX = """
{user}
daemon off;
master_process {master};
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes {workers};
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log combined buffer=64k flush=1s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_body_buffer_size 32k;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 300;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{reuseport};
    location / {{
      proxy_pass https://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host api.test;
      proxy_buffer_size 16k;
      proxy_buffers 16 16k;
      proxy_max_temp_file_size 0;
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {ca};
      proxy_ssl_name api.test;
      proxy_ssl_server_name on;
      proxy_ssl_session_reuse on;
      proxy_ssl_protocols TLSv1.3;
    }}
  }}
}}
"""


class Proxy:
    """A running proxy; `tool` is a command put before it (valgrind, strace), `plain_port` where tunnels lead."""

    name = ""

    def __init__(self, folder, ca_file, origin_port, tool=(), workers=1, plain_port=None):
        self.folder, self.workers, self.plain_port = Path(folder), workers, plain_port
        self.folder.mkdir(parents=True)
        self.port, self._second_port = free_ports(2)
        command = self._command(ca_file, origin_port, single_process=bool(tool))
        with open(self.folder / "output.log", "wb") as log:
            self.process = subprocess.Popen([*tool, *command], stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        wait_until(self._listens, f"{self.name} listens: {self.folder}/output.log", 60)

    def _listens(self):
        assert self.process.poll() is None, (self.folder / "output.log").read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def _family(self):
        """The process and its descendants: the tool, the master, the worker."""
        pids, ends = [], [self.process.pid]
        while ends:
            pid = ends.pop()
            pids.append(pid)
            try:
                ends += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except FileNotFoundError:
                continue
        return pids

    def cpu_seconds(self):
        """Time on a CPU of all threads of all its processes, by the scheduler's own count."""
        total = 0
        for pid in self._family():
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def peak_rss_bytes(self):
        """The most memory each of its processes ever had resident, together."""
        total = 0
        for pid in self._family():
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(status.split("VmHWM:", 1)[1].split(None, 1)[0]) * 1024
        return total

    def tunnel_target(self):
        """What a client names in CONNECT to come to the origin's plaintext port; empty: nothing is to be said."""
        return f"127.0.0.1:{self.plain_port}"

    def stop(self):
        """SIGTERM to the proxy itself, since strace would not pass it on."""
        os.kill(self._family()[1] if "strace" in str(self.process.args[0]) else self.process.pid, signal.SIGTERM)
        self.process.wait(60)


class Nginx(Proxy):
    name = "nginx"

    def _command(self, ca_file, origin_port, single_process):
        (self.folder / "nginx.conf").write_text(NGINX.format(
            user="user root;" if os.getuid() == 0 else "", master="off" if single_process else "on", folder=self.folder,
            workers=self.workers, reuseport=" reuseport" if self.workers > 1 else "", origin=origin_port,
            port=self.port, ca=ca_file))
        return ["nginx", "-e", f"{self.folder}/error.log", "-c", f"{self.folder}/nginx.conf"]


class Penstock(Proxy):
    name = "penstock"
    settings = {}  # laid over the rest by a variant

    def _command(self, ca_file, origin_port, single_process):
        (self.folder / "penstock.yaml").write_text(yaml.safe_dump(merged({
            "listeners": [{"address": f"127.0.0.1:{self.port}"}],
            "workers": self.workers,
            "admin": {"address": f"127.0.0.1:{self._second_port}"},
            "access_log": {"path": f"{self.folder}/access.log", "only": "all"},
            "defaults": {"pool": {"max_idle": 1000, "idle_timeout": "10m"}},  # as the others
            "upstreams": [{"name": "api", "hosts": ["api.test"], "connect_to": f"127.0.0.1:{origin_port}",
                           "tls": {"ca_file": ca_file, "min_version": "1.3"}},
                          *self._tunnels()]}, self.settings)))
        return [BINARY, "run", "-c", f"{self.folder}/penstock.yaml"]

    def _tunnels(self):
        return [{"name": "far", "hosts": ["far.test"], "connect_to": f"127.0.0.1:{self.plain_port}"}] if self.plain_port else []

    def tunnel_target(self):
        return "far.test:443"
