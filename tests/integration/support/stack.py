"""What a test stands on: origins, name servers and daemons that end with it."""

from contextlib import ExitStack

from .dns_server import DnsServer
from .full_backlog import FullBacklog
from .nginx import NginxOrigin
from .penstock import Penstock, merged
from .scripted_origin import ScriptedOrigin, answering, reply_ok, server_context


class Stack:
    def __init__(self, folder, ca):
        self.folder = folder
        self.ca = ca
        self._ends = ExitStack()
        self._count = 0

    def close(self):
        self._ends.close()

    def at_end(self, call):
        """Calls it when the test is over, after what was made later has ended."""
        self._ends.callback(call)

    def _folder(self, kind):
        self._count += 1
        return self.folder / f"{kind}{self._count}"

    def origin(self, serve=answering(reply_ok), names=("api.test",), tls=True, certificate=None, context=None,
               **options):
        """A scripted origin; TLS with a certificate for `names` unless told otherwise."""
        if tls and not context:
            context = server_context(certificate or self.ca.issue(*names))
        origin = ScriptedOrigin(serve, context, **options)
        self._ends.callback(origin.stop)
        return origin

    def nginx(self, **options):
        origin = NginxOrigin(self._folder("nginx"), self.ca.issue("api.test", "*.api.test"), **options)
        self._ends.callback(origin.stop)
        return origin

    def dns(self, script):
        server = DnsServer(script)
        self._ends.callback(server.stop)
        return server

    def full_backlog(self):
        backlog = FullBacklog()
        self._ends.callback(backlog.close)
        return backlog

    def to(self, target, /, host="api.test", name=None, **policy):
        """An upstream of the configuration that leads to an origin of ours."""
        base = {"name": name or host.split(".")[0].replace("*", "any"), "hosts": [host],
                "connect_to": f"127.0.0.1:{getattr(target, 'port', target)}",
                "scheme": "https" if getattr(target, "tls", False) else "http"}
        if base["scheme"] == "https":
            base["tls"] = {"ca_file": self.ca.file}
        return merged(base, policy)

    def penstock(self, *upstreams, listeners=1, command=(), descriptors=(), **settings):
        """A running daemon with these upstreams; `settings` are further sections of its file."""
        if isinstance(listeners, list):
            settings["listeners"] = listeners
            listeners = len(listeners)
        daemon = Penstock(self._folder("penstock"), {**settings, "upstreams": list(upstreams)}, listeners, command,
                          descriptors)
        self._ends.callback(daemon.stop)
        return daemon
