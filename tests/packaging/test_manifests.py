"""The manifests for Kubernetes and Compose, and the image's file: what they say fits what the binary does."""

import re
import urllib.request

import jsonschema
import pytest
import yaml

from conftest import TOP
from daemon import running

KUBERNETES = TOP / "deploy/kubernetes"
COMPOSE = yaml.safe_load((TOP / "deploy/compose.yaml").read_text())
CONFIG_MAP = yaml.safe_load((KUBERNETES / "configmap.yaml").read_text())
EMBEDDED = CONFIG_MAP["data"]["penstock.yaml"]
CONTAINER = (TOP / "config/container.yaml").read_text()
DOCKERFILE = (TOP / "Dockerfile").read_text()
NATIVE = ("deployment.yaml", "job.yaml")
CLASSIC = "job-classic.yaml"  # the sidecar is one of its containers
WORKLOADS = (*NATIVE, CLASSIC)
PUBLIC_PAGES = ("/livez", "/readyz", "/metrics")


def pod(workload):
    return yaml.safe_load((KUBERNETES / workload).read_text())["spec"]["template"]


def sidecar(workload):
    spec = pod(workload)["spec"]
    container, = spec["initContainers"] if workload in NATIVE else spec["containers"][:1]
    return container


def app(workload):
    container = pod(workload)["spec"]["containers"][-1]
    assert container["name"] != "penstock"
    return container


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


@pytest.fixture
def schema(penstock):
    return yaml.safe_load(penstock("schema").stdout)


@pytest.fixture
def faults(penstock, schema, tmp_path):
    """What `penstock check` and the JSON Schema have against a configuration's text."""
    def find(text):
        path = tmp_path / "checked.yaml"
        path.write_text(text)
        done = penstock("check", "-c", path)
        by_schema = [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text))]
        return (done.stderr if done.returncode else ""), by_schema

    return find


@pytest.mark.parametrize("text", [EMBEDDED, CONTAINER], ids=["kubernetes", "container"])
def test_the_configurations_have_no_fault(faults, text):
    assert faults(text) == ("", [])


@pytest.mark.parametrize("key", ["public_address", "listeners", "access_log"])
@pytest.mark.parametrize("text", [EMBEDDED, CONTAINER], ids=["kubernetes", "container"])
def test_a_key_that_does_not_exist_is_found(faults, text, key):
    by_check, by_schema = faults(text.replace(key + ":", key + "_x:"))
    assert key + "_x" in by_check and any(key + "_x" in message for message in by_schema)


# Kubernetes

def test_every_manifest_is_one_of_these():
    kinds = {path.name: yaml.safe_load(path.read_text())["kind"] for path in KUBERNETES.iterdir()}
    assert kinds == {"configmap.yaml": "ConfigMap", "deployment.yaml": "Deployment", "job.yaml": "Job",
                     "job-classic.yaml": "Job"}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_sidecar_runs_under_the_images_user(workload):
    container = sidecar(workload)
    user, group = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups()
    context = container["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user), int(group))
    assert context["runAsNonRoot"] and context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_all_workloads_have_the_same_sidecar():
    """But for what makes it native, and what does its work where it is not."""
    native, classic = sidecar("job.yaml"), sidecar(CLASSIC)
    assert sidecar("deployment.yaml") == native
    assert native.pop("restartPolicy") == "Always" and native.pop("startupProbe")["exec"]["command"] == ["penstock", "probe"]
    assert "penstock probe" in classic.pop("lifecycle")["postStart"]["exec"]["command"][-1]
    assert classic == native


@pytest.mark.parametrize("workload", WORKLOADS)
def test_probes_go_to_the_public_admin_address(workload):
    public = port_of(yaml.safe_load(EMBEDDED)["admin"]["public_address"])
    container = sidecar(workload)
    get = container["livenessProbe"]["httpGet"]
    assert get["port"] == public and get["path"] in PUBLIC_PAGES
    assert [port["containerPort"] for port in container["ports"]] == [public]


def test_metrics_are_scraped_where_they_are():
    annotations = pod("deployment.yaml")["metadata"]["annotations"]
    public = port_of(yaml.safe_load(EMBEDDED)["admin"]["public_address"])
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == (str(public), "/metrics")


def test_the_probes_pages_are_served_with_this_configuration(tmp_path):
    paths = {sidecar(workload)["livenessProbe"]["httpGet"]["path"] for workload in WORKLOADS}
    with running(yaml.safe_load(EMBEDDED), tmp_path) as (_, probes):
        for path in paths | {"/metrics"}:
            assert urllib.request.urlopen(f"http://127.0.0.1:{probes}{path}", timeout=10).status == 200


@pytest.mark.parametrize("workload", WORKLOADS)
def test_apps_get_what_penstock_env_prints(workload, penstock, tmp_path):
    path = tmp_path / "penstock.yaml"
    path.write_text(EMBEDDED)
    printed = yaml.safe_load(penstock("env", "--format", "kubernetes", "-c", path).stdout)["env"]
    assert app(workload)["env"] == printed
    assert {variable["name"] for variable in printed} == {"http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_configuration_is_mounted_where_the_binary_looks(workload):
    mount, = sidecar(workload)["volumeMounts"]
    volume, = pod(workload)["spec"]["volumes"]
    assert mount["mountPath"] == "/etc/penstock" and "penstock.yaml" in CONFIG_MAP["data"]
    assert (mount["name"], volume["configMap"]["name"]) == (volume["name"], CONFIG_MAP["metadata"]["name"])


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_pods_grace_covers_the_drain(workload):
    shutdown = yaml.safe_load(EMBEDDED)["shutdown"]
    assert pod(workload)["spec"]["terminationGracePeriodSeconds"] > seconds(shutdown["grace"])
    assert seconds(shutdown["wait_for_clients"]) < seconds(shutdown["grace"])


def test_the_classic_job_asks_the_admin_address_to_drain():
    address = yaml.safe_load(EMBEDDED)["admin"]["address"]
    assert f"-X POST -H 'Penstock-Admin: 1' http://{address}/drain" in app(CLASSIC)["command"][-1]


# Compose and the image

def image_service():
    (name, service), = ((n, s) for n, s in COMPOSE["services"].items() if "build" in s)
    return name, service


def test_composes_apps_get_what_penstock_env_prints(penstock):
    name, _ = image_service()
    printed = yaml.safe_load(penstock("env", "--format", "compose", "-c", TOP / "config/container.yaml").stdout)
    wanted = {key: value.replace("//127.0.0.1:", f"//{name}:") for key, value in printed["environment"].items()}
    apps = [service for own, service in COMPOSE["services"].items() if own != name]
    assert apps and all(app["environment"] == wanted for app in apps)
    assert all(app["depends_on"] == {name: {"condition": "service_healthy"}} for app in apps)


def test_compose_publishes_the_proxy_on_loopback_alone():
    listener, = yaml.safe_load(CONTAINER)["listeners"]
    port = port_of(listener["address"])
    assert image_service()[1]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_composes_grace_covers_the_drain():
    _, service = image_service()
    grace = re.search(r"^# +grace: (\w+)$", (TOP / "config/penstock.yaml").read_text(), re.MULTILINE).group(1)
    assert "shutdown" not in yaml.safe_load(CONTAINER)
    assert seconds(service["stop_grace_period"]) > seconds(grace)
    assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_the_image_exposes_what_its_configuration_opens():
    settings = yaml.safe_load(CONTAINER)
    opened = {port_of(settings["listeners"][0]["address"]), port_of(settings["admin"]["public_address"])}
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE).group(1).split()
    assert {int(port) for port in exposed} == opened
