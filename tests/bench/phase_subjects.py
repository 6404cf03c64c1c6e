"""Who is put before an obstacle: penstock, HAProxy, and Go's Transport in a program of ours."""

import subprocess
from pathlib import Path

from phase_cases import LIMIT, PATIENCE, Outcome
from support.penstock import free_ports, merged, proxy_status
from support.waiting import slack, wait_until

HERE = Path(__file__).resolve().parent

HAPROXY = """
global
  maxconn 100
defaults
  mode http
  retries 0
  timeout connect 1h
  timeout client 1h
  timeout server 1h
{timeouts}
{resolvers}
listen proxy
  bind 127.0.0.1:{port}
{resolve}
  server origin {address} {options}
"""
RESOLVERS = "resolvers ours\n  nameserver one {dns}\n{lines}"
RESOLVE = """  http-request do-resolve(txn.address,ours,ipv4) str(resolved.test)
  http-request return status 503 unless {{ var(txn.address) -m found }}
  http-request set-dst var(txn.address)
  http-request set-dst-port int({port})"""


class Penstock:
    """Its outcome, and what is wrong with it by the contract."""

    name = "penstock"

    def run(self, case, stack, obstacle):
        policy, settings = case.policy, case.settings
        if obstacle.dns:
            policy = merged(policy, {"connect_to": f"resolved.test:{obstacle.port}"})
            settings = merged(settings, {"dns": {"servers": [obstacle.dns]}})
        proxy = stack.penstock(stack.to(obstacle, **policy), **settings)
        outcome = case.drive(proxy.port, obstacle)
        told = self._told(case, proxy)
        return outcome, told, self._faults(case, outcome, told)

    def _told(self, case, proxy):
        """Status, token, phase and key of the access log."""
        if not case.ends:
            return ()
        line = proxy.wait_for_log(lambda line: "error" in line)
        return line["status"], line["error"], line.get("error_phase"), line["error_limit"]

    def _faults(self, case, outcome, told):
        if outcome.seconds is None:
            return [f"still waiting after {PATIENCE:g} s"]
        faults = []
        early = 0.02 if case.starts_before else 0
        if not LIMIT - early <= outcome.seconds < LIMIT + slack(0.5):
            faults.append(f"{outcome.seconds:.3f} s for a limit of {LIMIT} s")
        wanted = (*case.ends, case.key) if case.ends else ()
        if told != wanted:
            faults.append(f"the log says {told} instead of {wanted}")
        if outcome.head and outcome.head.status >= 400:
            status = proxy_status(outcome.head)
            answered = (outcome.head.status, status["error"], status["phase"], status["limit"])
            if answered != wanted:
                faults.append(f"the answer says {answered} instead of {wanted}")
        return faults


class HAProxy:
    name = "HAProxy"

    def run(self, case, stack, obstacle):
        folder = stack.folder / "haproxy"
        folder.mkdir(parents=True)
        process, port = self._start(case, stack, obstacle, folder)
        try:
            return case.drive(port, obstacle)
        finally:
            process.terminate()
            process.wait(10)

    def _start(self, case, stack, obstacle, folder):
        """Another process may take a port that was free; then it ends at once."""
        for _ in range(5):
            port, = free_ports(1)
            (folder / "haproxy.cfg").write_text(self._config(case, stack, obstacle, port))
            with open(folder / "output.log", "wb") as log:
                process = subprocess.Popen(["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], stdout=log, stderr=log)
            wait_until(lambda: self._listens(port) or process.poll() is not None, "haproxy starts")
            if process.poll() is None:
                return process, port
        raise AssertionError("haproxy does not start: " + (folder / "output.log").read_text())

    @staticmethod
    def _listens(port):
        rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines())
        return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)

    @staticmethod
    def _config(case, stack, obstacle, port):
        lines = case.haproxy[1] if case.haproxy else ()
        retry = [line for line in lines if "retry" in line or "retries" in line]
        timeouts = [line for line in lines if line.startswith("timeout") and line not in retry]
        options = [line for line in lines if line not in timeouts and line not in retry]
        if obstacle.tls:
            options.append(f"ssl verify required ca-file {stack.ca.file} sni str(api.test) verifyhost api.test")
        named, indented = bool(obstacle.dns), "\n".join(f"  {line}" for line in retry)
        return HAPROXY.format(
            port=port, timeouts="\n".join(f"  {line}" for line in timeouts), options=" ".join(options),
            address="0.0.0.0:0" if named else f"127.0.0.1:{obstacle.port}",
            resolvers=RESOLVERS.format(dns=obstacle.dns, lines=indented) if named else "",
            resolve=RESOLVE.format(port=obstacle.port) if named else "")


class Go:
    name = "Go"

    def __init__(self, folder):
        self._program = str(folder / "phases_client")
        subprocess.run(["go", "build", "-o", self._program, str(HERE / "phases_client.go")], check=True)

    def run(self, case, stack, obstacle):
        """None where it is not a client's matter."""
        if not case.go_does:
            return None
        host = "resolved.test" if obstacle.dns else "127.0.0.1"
        done = subprocess.run(
            [self._program, "-do", case.go_does, "-address", f"{host}:{obstacle.port}", "-ca", stack.ca.file,
             "-url", ("https" if obstacle.tls else "http") + "://api.test", "-patience", f"{PATIENCE}s",
             *(["-dns", obstacle.dns] if obstacle.dns else []), *(case.go[1] if case.go else [])],
            check=True, capture_output=True, text=True, timeout=60).stdout.strip()
        if done == "waiting":
            return Outcome(None)
        seconds, text = done.split(" ", 1)
        return Outcome(float(seconds), text.split('": ', 1)[-1])  # without method and URL
