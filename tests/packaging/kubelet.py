"""Runs the pod of a manifest as a kubelet does, its containers as processes of this machine: their order, probes, hooks,
restarts and signals. Images are commands here, the manifest's ports free ones, and `penstock` is the binary under test.

After kubernetes.io/docs: a sidecar is an init container with restartPolicy Always; the next container starts when its
startupProbe succeeds; ordinary containers start in order, each after the postStart hook of the one before it. A pod that is
deleted has its ordinary containers asked to end all at once, and its sidecars after them, the last one first."""

import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from conftest import BINARY
from daemon import wait_until
from support.ports import free_ports

PORTS = ("3128", "9128", "9129")


def with_free_ports(text, ports):
    """All at once, and only whole numbers: any other port, that of an origin too, may contain one of these."""
    return re.sub(rf"\b({'|'.join(ports)})\b", lambda found: ports[found.group()], text)


class Container:
    def __init__(self, pod, spec):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.environment = {**pod.environment, **{each["name"]: each["value"] for each in spec.get("env", [])}}
        self.process = None
        self.probes = 0

    def start(self):
        command = self.spec.get("command") or self.pod.images[self.name]
        self.pod.note(f"{self.name} starts")
        self.process = subprocess.Popen([str(word) for word in command], env=self.environment, cwd=self.pod.folder,
                                        stdout=subprocess.DEVNULL, stderr=open(self.pod.folder / f"{self.name}.log", "ab"))

    def run(self, command):
        return subprocess.run(command, env=self.environment, capture_output=True, timeout=60).returncode == 0

    def probe(self, probe):
        self.probes += 1
        if "exec" in probe:
            return self.run(probe["exec"]["command"])
        get = probe["httpGet"]
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{get['port']}{get['path']}", timeout=5).status == 200
        except (urllib.error.HTTPError, OSError):
            return False

    def await_start(self):
        """Until its startupProbe succeeds; one that ends meanwhile is started again."""
        probe = self.spec["startupProbe"]
        for _ in range(probe["failureThreshold"]):
            if self.process.poll() is not None:
                self.start()
            if self.probe(probe):
                self.pod.note(f"{self.name} is ready")
                return
            self.pod.over.wait(probe["periodSeconds"])
            if self.pod.over.is_set():
                return
        raise AssertionError(f"{self.name} never started")

    def ask_to_end(self):
        if self.process and self.process.poll() is None:
            self.pod.note(f"{self.name} is asked to end")
            self.process.send_signal(signal.SIGTERM)

    def end(self, deadline):
        """Its exit code; it is killed at the deadline."""
        if self.process is None:
            return None
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.pod.note(f"{self.name} is killed")
            self.process.wait()
        self.pod.note(f"{self.name} ended")
        return self.process.returncode


class Pod:
    """`images`: by container, what runs where the manifest names no command."""

    def __init__(self, workload, config, folder, images, change=lambda spec: None):
        self.folder = Path(folder)
        self.ports = dict(zip(PORTS, map(str, free_ports(len(PORTS)))))
        self.events = []
        self.over = threading.Event()
        self.images = {**images, "penstock": ["penstock", "run"]}
        self.environment = self._environment(config)
        self.spec = yaml.safe_load(with_free_ports(workload, self.ports))["spec"]["template"]["spec"]
        change(self.spec)
        self.sidecars = [Container(self, spec) for spec in self.spec.get("initContainers", [])]
        self.containers = [Container(self, spec) for spec in self.spec["containers"]]

    def _environment(self, config):
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "penstock").symlink_to(BINARY)
        path = self.folder / "penstock.yaml"
        path.write_text(with_free_ports(yaml.safe_dump(config), self.ports))
        plain = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        return {**plain, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PENSTOCK_CONFIG": str(path)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for container in self.sidecars + self.containers:
            if container.process:
                container.process.kill()
                container.process.wait()

    def note(self, event):
        self.events.append((time.monotonic(), event))

    def order(self):
        return [event for _, event in self.events]

    def when(self, event):
        return next(at for at, each in self.events if each == event)

    def log(self, container):
        return (self.folder / f"{container}.log").read_text()

    def start(self):
        for sidecar in self.sidecars:
            sidecar.start()
            sidecar.await_start()
        for container in self.containers:
            container.start()
            hook = container.spec.get("lifecycle", {}).get("postStart")
            if hook and container.run(hook["exec"]["command"]):
                self.note(f"{container.name} is ready")

    def run_to_completion(self):
        """Of a Job's pod: the exit codes of its ordinary containers, once all have ended and the sidecars after them."""
        wait_until(lambda: all(each.process.poll() is not None for each in self.containers), "the containers end")
        for container in self.containers:
            self.note(f"{container.name} ended")
        codes = {each.name: each.process.returncode for each in self.containers}
        return codes | self._end_sidecars(time.monotonic() + self.spec["terminationGracePeriodSeconds"])

    def delete(self):
        """All exit codes; the grace is one for all."""
        deadline = time.monotonic() + self.spec["terminationGracePeriodSeconds"]
        for container in self.containers:
            container.ask_to_end()
        codes = {each.name: each.end(deadline) for each in self.containers}
        return codes | self._end_sidecars(deadline)

    def _end_sidecars(self, deadline):
        codes = {}
        for sidecar in reversed(self.sidecars):
            sidecar.ask_to_end()
            codes[sidecar.name] = sidecar.end(deadline)
        return codes
