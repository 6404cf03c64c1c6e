"""/metrics is what Prometheus takes, all of it moves, and the alerts and the dashboard that are shipped ask for nothing
that is not there."""

import json
import re
import subprocess
import threading
from contextlib import ExitStack

import pytest
import yaml

from support.penstock import TOP, parse_metrics
from support.promql import grouping_labels, selectors
from support.waiting import wait_until

RULES = TOP / "deploy/prometheus/penstock.rules.yaml"
RULES_TEST = RULES.with_name("penstock.rules.test.yaml")
DASHBOARD = TOP / "deploy/grafana/penstock.json"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
OF_THE_SCRAPE = {"job", "instance"}
CONSENT = {"Penstock-Admin": "1"}


def promtool(*arguments, **options):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def page(proxy):
    status, text = proxy.admin("/metrics")
    assert status == 200, text
    return text


def families_that_moved(text):
    """Names of TYPE lines with a series that is not zero."""
    moved = {re.sub(r"_(bucket|sum|count)$", "", name) if "_seconds" in name else name
             for name, _, value in parse_metrics(text) if value != 0}
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} & moved


class World:
    """A daemon to which all happens that metrics count: requests, failures, queues, tunnels, retries, lost lines."""

    def __init__(self, shared, ca):
        self.gate = threading.Event()
        identity = ca.issue(usage="clientAuth", common_name="app")
        self.origin = shared.origin(self.serve)
        self.echo = shared.origin(lambda connection: connection.wait_closed(), tls=False)
        self.plain = shared.origin(tls=False)
        self.proxy = shared.penstock(
            shared.to(self.origin, tls={"cert_file": identity.cert, "key_file": identity.key},
                      pool={"max_connections": 1}),
            shared.to(self.echo, "echo.test"),
            shared.to(1, "down.test"),
            {"name": "named", "hosts": [f"localhost:{self.plain.port}"], "scheme": "http"},
            listeners=[{}, {"allow_clients": ["192.0.2.0/24"]}],
            access_log={"path": "/dev/full", "only": "all"},
            egress={"deny": [], "allow": ["127.0.0.0/8", "::1"]})

    def serve(self, connection):
        while request := connection.read_request():
            if request.target == "/wait":
                self.gate.wait(20)
            connection.reply()
            if request.target == "/die":
                connection.read_request()
                connection.close()
                return

    def scrape(self):
        return page(self.proxy)

    def everything(self):
        """Scrapes in the course of which every metric moves."""
        proxy = self.proxy
        yield self.scrape()
        assert proxy.fetch("http://api.test/die").status == 200
        assert proxy.fetch("http://api.test/again").status == 200  # by a retry
        assert proxy.fetch("http://down.test/").status == 502
        assert proxy.fetch(f"http://localhost:{self.plain.port}/").status == 200
        with proxy.client(1) as client:
            assert client.ending() == "closed"
        yield from self.while_busy()
        yield self.while_buffers_are_held()
        with proxy.client() as client:
            client.send("CONNECT echo.test:443 HTTP/1.1\r\nHost: echo.test:443\r\n\r\n")
            assert client.reader.response_head().status == 200
            wait_until(lambda: proxy.metrics("penstock_tunnels") == 1, "it is a tunnel")
            yield self.scrape()
        proxy.admin("/pools/api/pause", "POST", CONSENT)
        yield self.scrape()
        proxy.admin("/pools/api/resume", "POST", CONSENT)
        wait_until(lambda: proxy.metrics("penstock_log_dropped_lines_total", log="access") > 0, "lines are lost")
        yield self.scrape()

    def while_busy(self):
        clients = [self.proxy.client() for _ in range(2)]
        for client in clients:
            client.request("http://api.test/wait")
        wait_until(lambda: self.proxy.waiting("api") == 1, "one waits")
        yield self.scrape()
        self.gate.set()
        for client in clients:
            assert client.response().status == 200
            client.close()


    def while_buffers_are_held(self):
        """Each worker tells what it holds in steps of 256 KiB: a block for each head that has begun."""
        with ExitStack() as clients:
            for _ in range(64):
                clients.enter_context(self.proxy.client()).send("GET http://api.test/")
            wait_until(lambda: self.proxy.metrics("penstock_buffer_bytes") > 0, "buffers are held")
            return self.scrape()


@pytest.fixture(scope="module")
def scrapes(shared, ca):
    return list(World(shared, ca).everything())


@pytest.fixture(scope="module")
def series(scrapes):
    """Of the last scrape, each with the labels that Prometheus adds."""
    return [(name, {**labels, **dict.fromkeys(OF_THE_SCRAPE, "x")}) for name, labels, _ in parse_metrics(scrapes[-1])]


def test_promtool_takes_every_page(scrapes):
    for text in scrapes:
        assert promtool("check", "metrics", input=text) == ""


def test_every_metric_moves(scrapes):
    there = {line.split()[2] for line in scrapes[0].splitlines() if line.startswith("# TYPE")}
    moved = set().union(*map(families_that_moved, scrapes))
    assert there - moved == set()


def test_the_limit_counts_every_host(stack):
    """So that connections can be held against it; before the first host it is what one may have."""
    origin = stack.origin(tls=False)
    proxy = stack.penstock(stack.to(origin, "*.test", "many", pool={"max_connections": 5}),
                           stack.to(origin, "all.other", "all", pool={"max_connections": "unlimited"}))
    limit = lambda upstream: proxy.metrics("penstock_pool_connections_limit", upstream=upstream)
    assert limit("many") == 5 and limit("all") == float("inf")
    for host in ("a.test", "b.test", "c.test"):
        assert proxy.fetch(f"http://{host}/").status == 200
    assert limit("many") == 15


def test_what_the_design_names_is_there(scrapes):
    """observability.md, as a list of its own: a name that dashboards rely on does not vanish unnoticed."""
    wanted = """requests_total request_duration_seconds exchange_duration_seconds phase_duration_seconds errors_total
        pool_connections pool_connections_limit pool_waiting pool_oldest_wait_seconds pool_acquires_total
        connections_opened_total connections_closed_total retries_total tls_handshakes_total tunnels client_connections
        client_rejected_total config_last_reload_successful config_last_reload_timestamp_seconds
        certificate_not_after_seconds log_dropped_lines_total loop_lag_seconds build_info""".split()
    there = set(re.findall(r"^# TYPE penstock_(\S+)", scrapes[0], re.M))
    assert set(wanted) - there == set()


# The alerts


def test_promtool_takes_the_alerts_and_they_fire_when_they_should():
    promtool("check", "rules", RULES)
    promtool("test", "rules", RULES_TEST)


def test_every_alert_has_a_case_in_which_it_fires_and_says_what_to_do():
    cases = [case for test in yaml.safe_load(RULES_TEST.read_text())["tests"] for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert fired == {alert["alert"] for alert in ALERTS}
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("warning", "critical")
        assert alert["annotations"]["summary"] and alert["annotations"]["description"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_is_there(series, alert):
    assert_asks_for_what_is_there(series, alert["expr"])


def test_alerts_leave_out_tokens_that_exist():
    tokens = set(re.findall(r'return "(\w+)";', (TOP / "daemon/base/error.cc").read_text()))
    named = [value for alert in ALERTS for selector in selectors(alert["expr"])
             for label, _, value in selector.matchers if label == "token"]
    assert named and all(set(value.split("|")) <= tokens for value in named), named


# The dashboard


def filled_in(expression):
    return re.sub(r"\$(job|instance|upstream)\b", ".*", expression.replace("$__rate_interval", "5m"))


def test_promtool_takes_every_expression_of_the_dashboard(tmp_path):
    rules = [{"record": f"dashboard:{i}", "expr": filled_in(target["expr"])} for i, (_, target) in enumerate(TARGETS)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(TARGETS)} rules found" in promtool("check", "rules", path)


@pytest.mark.parametrize("title, target", TARGETS, ids=[f"{title}-{target['refId']}" for title, target in TARGETS])
def test_a_panel_asks_for_what_is_there(series, title, target):
    assert_asks_for_what_is_there(series, filled_in(target["expr"]))
    known = {label for name, labels in series for label in labels
             if name in [selector.name for selector in selectors(target["expr"])]}
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= known


def test_the_variables_of_the_dashboard_ask_for_what_is_there(series):
    for variable in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        if variable["type"] != "query":
            continue
        label = re.search(r", (\w+)\)$", variable["definition"]).group(1)
        assert_asks_for_what_is_there(series, filled_in(variable["definition"]))
        name = selectors(variable["definition"])[0].name
        assert any(label in labels for each, labels in series if each == name), variable["name"]


def test_the_panels_of_the_dashboard_do_not_overlap():
    cells = set()
    for panel in PANELS:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells and max(x for x, _ in own) < 24, panel["title"]
        cells |= own


def test_every_metric_of_ours_is_on_the_dashboard(scrapes):
    ours = set(re.findall(r"^# TYPE (penstock_\S+)", scrapes[0], re.M))
    shown = {re.sub(r"_(bucket|sum|count)$", "", selector.name) if "_seconds_" in selector.name else selector.name
             for _, target in TARGETS for selector in selectors(target["expr"])}
    assert ours - shown == set()


def assert_asks_for_what_is_there(series, expression):
    asked = selectors(expression)
    assert asked, expression
    labels_there = {"le"}
    for selector in asked:
        found = [labels for name, labels in series if name == selector.name]
        assert found, f"there is no {selector.name}"
        labels_there |= set().union(*found)
        for label, operator, value in selector.matchers:
            assert any(label in labels for labels in found), f"{selector.name} has no label {label}"
            for word in value.split("|") if operator in ("=", "=~") and value != ".*" else ():
                assert any(labels.get(label) == word for labels in found), f'{selector.name}{{{label}="{word}"}}'
    assert grouping_labels(expression) <= labels_there, expression
