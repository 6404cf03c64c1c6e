"""Who is put beside penstock: the floor, HAProxy, nghttpx, Squid and a Go program of ours, each for the same job.

Plaintext in, verified TLS 1.3 kept alive out to one origin, an access log in a file, limits of connections and of
time. Idle connections are kept for longer than the other proxies' turns take, wherever that is to be said. Each has the
settings with which it costs least here: HAProxy without its task profiler, Squid without a cache (`cache deny` would cost it
26 KiB for each request for good) and with POSTs on connections that it has.
"""

import os
import subprocess
from pathlib import Path

from proxies import Nginx, Penstock, Proxy

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent.parent / "build" / "bench"
CXX = ["g++", "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror"]
OPENSSL = ["-lssl", "-lcrypto"]
PROGRAMS = {"floor": (CXX, "floor.cc", OPENSSL), "load": (CXX, "load.cc", OPENSSL),
            "goproxy": (["go", "build"], "goproxy.go", [])}

HAPROXY = """
global
  maxconn 8000
  nbthread {workers}
  profiling.tasks off
  log stdout format raw local0
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  log global
  option httplog
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout queue 5s
  timeout http-request 10s
  timeout http-keep-alive 600s
  http-reuse always
listen proxy
  bind 127.0.0.1:{port} backlog 4096
  server origin 127.0.0.1:{origin} ssl verify required ca-file {ca} sni str(api.test) verifyhost api.test pool-purge-delay 600s
"""

SQUID = """
http_port 127.0.0.1:{port}
workers {workers}
pid_filename none
coredump_dir {folder}
cache_log {folder}/cache.log
access_log stdio:{folder}/access.log
buffered_logs on
store_miss deny all
cache_mem 0
server_pconn_for_nonretriable allow all
shutdown_lifetime 0 seconds
pinger_enable off
max_filedescriptors 8192
server_idle_pconn_timeout 10 minutes
client_idle_pconn_timeout 10 minutes
connect_timeout 5 seconds
acl tunnel method CONNECT
http_access allow all
cache_peer 127.0.0.1 parent {origin} 0 no-query originserver tls tls-cafile={ca} ssldomain=api.test name=origin
cache_peer_access origin allow !tunnel
always_direct allow tunnel
never_direct allow !tunnel
"""


def build(name):
    """The path of a program of ours, compiled anew where its source has changed since."""
    program, (compiler, source, libraries) = BUILT / name, PROGRAMS[name]
    if not program.exists() or program.stat().st_mtime < (HERE / source).stat().st_mtime:
        BUILT.mkdir(parents=True, exist_ok=True)
        new = BUILT / f"{name}.{os.getpid()}"  # of our own: others may be building it too
        subprocess.run([*compiler, "-o", new, HERE / source, *libraries], check=True)
        new.replace(program)
    return str(program)


class Floor(Proxy):
    name = "floor"
    buffer_kib = 16

    def _command(self, ca_file, origin_port, single_process):
        return [build("floor"), str(self.port), str(origin_port), str(self.workers), str(self.buffer_kib), ca_file, "api.test"]


class WideFloor(Floor):
    """Several records in one write: what bulk can cost less. Every other figure is of the floor that the targets name."""

    name = "floor-64k"
    buffer_kib = 64


class PlainFloor(Floor):
    """The floor of a tunnel: bytes to the plaintext port, without CONNECT, which it would not understand."""

    def _command(self, ca_file, origin_port, single_process):
        return [build("floor"), str(self.port), str(self.plain_port), str(self.workers), str(self.buffer_kib)]

    def tunnel_target(self):
        return ""


class HAProxy(Proxy):
    name = "haproxy"

    def _command(self, ca_file, origin_port, single_process):
        (self.folder / "haproxy.cfg").write_text(HAPROXY.format(
            workers=self.workers, port=self.port, origin=origin_port, ca=ca_file))
        return ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")]


class Nghttpx(Proxy):
    """Verifies the origin unless told not to. With one worker it needs no second thread."""

    name = "nghttpx"

    def _command(self, ca_file, origin_port, single_process):
        return ["nghttpx", "--conf=/dev/null", "--single-process",
                *(["--single-thread"] if self.workers == 1 else [f"--workers={self.workers}"]),
                f"--frontend=127.0.0.1,{self.port};no-tls",
                f"--backend=127.0.0.1,{origin_port};;tls;proto=http/1.1;sni=api.test", f"--cacert={ca_file}",
                "--tls-min-proto-version=TLSv1.3", f"--accesslog-file={self.folder}/access.log",
                f"--errorlog-file={self.folder}/error.log", "--backend-keep-alive-timeout=600s",
                "--frontend-keep-alive-timeout=600s", "--backlog=4096", "--worker-frontend-connections=8000"]


class Squid(Proxy):
    name = "squid"

    def _command(self, ca_file, origin_port, single_process):
        self.folder.chmod(0o777)  # it gives up root for a user of its own
        config = self.folder / "squid.conf"
        config.write_text(SQUID.format(workers=self.workers, port=self.port, origin=origin_port, ca=ca_file,
                                       folder=self.folder))
        return ["squid", "-N" if self.workers == 1 else "--foreground", "-f", str(config)]


class Go(Proxy):
    name = "go"
    pool = "tuned"

    def _command(self, ca_file, origin_port, single_process):
        return ["env", f"GOMAXPROCS={self.workers}", build("goproxy"), "-listen", f"127.0.0.1:{self.port}", "-origin",
                f"127.0.0.1:{origin_port}", "-ca", ca_file, "-log", f"{self.folder}/access.log", "-pool", self.pool]


class GoDefault(Go):
    name = "go-default"
    pool = "default"


KINDS = {kind.name: kind for kind in (Floor, WideFloor, Penstock, Nginx, HAProxy, Nghttpx, Go, GoDefault, Squid)}
CALLGRIND = ("floor", "penstock", "nginx", "haproxy", "nghttpx")  # Go and Squid: instructions there say nothing
TUNNEL = {"floor": PlainFloor, **{name: KINDS[name] for name in ("penstock", "go", "squid")}}  # who takes CONNECT
