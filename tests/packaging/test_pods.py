"""The pods of deploy/kubernetes, run as a kubelet runs them (kubelet.py): the app starts when the proxy is ready, a Job ends
when its work has, and an app that still calls out while it ends is served."""

import http.server
import sys
import threading
from pathlib import Path

import pytest
import yaml

from conftest import TOP
from daemon import wait_until
from kubelet import Pod
from support.ports import free_ports

KUBERNETES = TOP / "deploy/kubernetes"
CONFIG = yaml.safe_load(yaml.safe_load((KUBERNETES / "configmap.yaml").read_text())["data"]["penstock.yaml"])
GRACE_SECONDS = 20
CALLS_OUT_SECONDS = 3


class Origin:
    """What api.payments.example is here; answers `status`."""

    def __init__(self, port=0):
        self.status = 200
        self.paths = []
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                origin.paths.append(self.path)
                self.send_response(origin.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def origin():
    origin = Origin()
    yield origin
    origin.stop()


def config(port, shutdown=None, **pool):
    """That of the ConfigMap, but for where the payments are."""
    payments, rest = CONFIG["upstreams"]
    payments = {**payments, "scheme": "http", "connect_to": f"127.0.0.1:{port}", "pool": {**payments["pool"], **pool}}
    return {**CONFIG, "upstreams": [payments, rest], "shutdown": shutdown or CONFIG["shutdown"]}


def pod(workload, config, folder, **options):
    app = [sys.executable, Path(__file__).with_name("pod_app.py"), CALLS_OUT_SECONDS]
    return Pod((KUBERNETES / workload).read_text(), config, folder, {"app": app}, **options)


# A Job

def test_a_job_is_complete_when_its_work_is(origin, tmp_path):
    with pod("job.yaml", config(origin.port), tmp_path) as job:
        job.start()
        codes = job.run_to_completion()
    assert codes == {"job": 0, "penstock": 0}, job.log("job") + job.log("penstock")
    assert origin.paths == ["/v1/settle"]
    assert job.order() == ["penstock starts", "penstock is ready", "job starts", "job ended", "penstock is asked to end",
                           "penstock ended"]


@pytest.mark.parametrize("status, code", [(200, 0), (500, 22)])
def test_without_native_sidecars_the_work_ends_the_proxy(origin, tmp_path, status, code):
    """By POST /drain, whatever came of it; nobody sends a signal."""
    origin.status = status
    with pod("job-classic.yaml", config(origin.port), tmp_path) as job:
        job.start()
        codes = job.run_to_completion()
        assert codes == {"job": code, "penstock": 0}, job.log("job") + job.log("penstock")
    assert set(origin.paths) == {"/v1/settle"}
    assert job.order()[:3] == ["penstock starts", "penstock is ready", "job starts"]
    assert "draining" in job.log("penstock")


# The order of a start

def test_the_app_waits_until_the_proxy_is_ready(tmp_path):
    """It has a warm connection to the payments only when those are up."""
    port, = free_ports(1)
    with pod("job.yaml", config(port, min_idle=1, warmup="required"), tmp_path) as job:
        starting = threading.Thread(target=job.start)
        starting.start()
        wait_until(lambda: "penstock starts" in job.order(), "the sidecar starts")
        wait_until(lambda: job.sidecars[0].probes >= 3, "the kubelet has asked several times")
        assert job.order() == ["penstock starts"]
        origin = Origin(port)
        starting.join(60)
        assert job.run_to_completion() == {"job": 0, "penstock": 0}
        origin.stop()
    assert job.order()[:3] == ["penstock starts", "penstock is ready", "job starts"]


# The end of a Deployment's pod

def test_a_native_sidecar_serves_until_the_app_has_ended(origin, tmp_path):
    with pod("deployment.yaml", config(origin.port), tmp_path) as deployment:
        deployment.start()
        wait_until(lambda: len(origin.paths) > 5, "the app calls")
        codes = deployment.delete()
        assert codes == {"app": 0, "penstock": 0}, deployment.log("app") + deployment.log("penstock")
    assert deployment.order()[-4:] == ["app is asked to end", "app ended", "penstock is asked to end", "penstock ended"]
    took = deployment.when("penstock ended") - deployment.when("penstock is asked to end")
    assert took < GRACE_SECONDS / 2, "nobody is connected any more: it does not wait for its time to pass"


def as_ordinary_containers(spec):
    """As it is without native sidecars: all are asked to end at once."""
    spec["containers"] = [*spec.pop("initContainers"), *spec["containers"]]
    spec["containers"][0]["lifecycle"] = {"postStart": {"exec": {"command": [
        "sh", "-c", "until penstock probe; do sleep 0.2; done"]}}}


@pytest.mark.parametrize("waits", [True, False])
def test_an_app_that_still_calls_out_is_served_where_the_proxy_waits_for_it(origin, tmp_path, waits):
    shutdown = CONFIG["shutdown"] if waits else {"grace": CONFIG["shutdown"]["grace"]}
    with pod("deployment.yaml", config(origin.port, shutdown), tmp_path, change=as_ordinary_containers) as deployment:
        deployment.start()
        wait_until(lambda: len(origin.paths) > 5, "the app calls")
        codes = deployment.delete()
        said = deployment.log("app") + deployment.log("penstock")
        assert codes == {"app": 0 if waits else 1, "penstock": 0}, said
    if waits:
        assert deployment.when("penstock ended") > deployment.when("penstock is asked to end") + CALLS_OUT_SECONDS
    else:
        assert "Connection refused" in said, "this is what it is for"
