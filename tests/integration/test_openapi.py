"""deploy/admin.openapi.yaml is what the admin addresses serve: the same routes, and every answer (status, type, body, with no
property beside those it names) in each state of the daemon."""

import json
import re
import threading
from pathlib import Path

import jsonschema
import pytest
import yaml

from support.admin_api import CONSENT, routes, target_of
from support.client import Client
from support.dns_server import A, NXDOMAIN, Answer
from support.frozen_threads import frozen, other_threads
from support.penstock import free_ports
from support.scripted_origin import answering
from support.waiting import TIME_FACTOR, wait_until

DOCUMENT = yaml.safe_load((Path(__file__).resolve().parents[2] / "deploy/admin.openapi.yaml").read_text())
OPERATIONS = {(method.upper(), path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()}
REFUSALS = (403, 405, 413, 421)  # of requests that no operation takes: the default answer
PAGES = [path for method, path in OPERATIONS if method == "GET"]


def found_at(reference):
    node = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        node = node[key]
    return node


def resolved(node):
    return found_at(node["$ref"]) if "$ref" in node else node


def nodes(node):
    """Every mapping of the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def hold_against(schema, body):
    jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(body)


def check(method, path, response):
    """The answer is one that the document gives for this operation."""
    answers = OPERATIONS[method, path]["responses"]
    assert str(response.status) in answers or response.status in REFUSALS, (path, response.status)
    described = resolved(answers.get(str(response.status), answers["default"]))
    (kind, content), = described["content"].items()
    assert response.get("content-type") == kind, (path, response.status)
    hold_against(content["schema"], json.loads(response.body) if kind == "application/json" else response.text)
    return response


def ask(proxy, path, method="GET", query="", fields=CONSENT, name="api", port=None):
    target = path.replace("{name}", name) + query
    with Client(port or proxy.admin_port) as client:
        return check(method, path, client.fetch(target, method, fields, b"" if method == "POST" else None, host="localhost"))


def ask_all_pages(proxy):
    """The status of each page, whose answers are as the document says."""
    return {path: ask(proxy, path).status for path in PAGES}


def body_of(proxy, path, query=""):
    return json.loads(ask(proxy, path, query=query).body)


# The document

def test_the_routes_are_those_of_the_daemon(stack):
    port, = free_ports(1)
    proxy = stack.penstock(stack.to(1), admin={"public_address": f"127.0.0.1:{port}"})
    named = [(method, path.replace("NAME", "{name}")) for method, path in routes(proxy.admin_port)]
    assert sorted(named) == sorted(OPERATIONS)
    assert sorted(routes(port)) == sorted(key for key, operation in OPERATIONS.items() if operation["tags"] == ["public"])


def test_the_document_is_sound():
    assert DOCUMENT["openapi"].startswith("3.1.")
    for node in nodes(DOCUMENT):
        if "$ref" in node:
            found_at(node["$ref"])
        if node.get("type") == "object":
            assert "additionalProperties" in node, node
            assert set(node.get("required", ())) <= set(node.get("properties", node.get("required", ()))), node
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    used = set(re.findall(r"#/components/[\w/]+", json.dumps(DOCUMENT)))
    assert used == {f"#/components/{kind}/{name}" for kind, parts in DOCUMENT["components"].items() for name in parts}


def test_each_operation_says_its_parameters():
    identifiers = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(identifiers)) == len(identifiers)
    for (method, path), operation in OPERATIONS.items():
        parameters = {(p["in"], p["name"]) for p in map(resolved, operation.get("parameters", ()))}
        assert (("path", "name") in parameters) == ("{name}" in path)
        assert (("header", "Penstock-Admin") in parameters) == (method == "POST")


# The pages, state by state

def test_a_daemon_that_has_done_nothing(stack):
    assert set(ask_all_pages(stack.penstock(stack.to(1))).values()) == {200}


def test_head_has_the_same_head(stack):
    proxy = stack.penstock(stack.to(1))
    for path in PAGES:
        with Client(proxy.admin_port) as client:
            client.request(path, "HEAD", host="localhost")
            assert client.head().get("content-type") == ask(proxy, path).get("content-type")


def test_a_daemon_that_is_busy_waits_and_has_failed(stack):
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, request: (gate.wait(30), connection.reply())))
    zone = stack.dns(lambda name, kind, transport: Answer(rcode=NXDOMAIN) if "none" in name else
                     Answer(("127.0.0.1",) if kind == A else ()))
    proxy = stack.penstock(
        stack.to(origin, pool={"max_connections": 1, "max_idle": 1}), stack.to(1, "down.test", pool={"max_waiting": "unlimited"}),
        {"name": "named", "hosts": ["named.test", "none.test"], "scheme": "http"}, dns={"servers": [zone.address], "negative_ttl": "1h"},
        workers=2)
    for host in ("down.test", "none.test", "named.test:1"):
        proxy.fetch(f"http://{host}/")
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        client.request("http://api.test/")
    wait_until(lambda: proxy.waiting("api") == 2, "two wait")
    assert set(ask_all_pages(proxy).values()) == {200}
    assert body_of(proxy, "/waiting", "?upstream=api")["waiting"] and body_of(proxy, "/connections")["connections"]
    assert {name["state"] for name in body_of(proxy, "/dns")["names"]} == {"negative", "fresh"}
    gate.set()
    assert [client.response().status for client in clients] == [200] * 3
    for path in PAGES:
        for query in ("?upstream=api", "?upstream=nobody", "?upstream=%zz", "?"):
            assert ask(proxy, path, query=query).status == 200


def test_a_daemon_that_is_paused_and_was_told_a_log_level(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    assert ask(proxy, "/pools/{name}/pause", "POST").status == 200
    assert ask(proxy, "/log-level", "POST", "?level=debug&for=1h").status == 200
    assert set(ask_all_pages(proxy).values()) == {200}
    assert body_of(proxy, "/pools")["upstreams"][0]["paused"] is True


def test_a_daemon_whose_last_reload_was_refused(stack):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.reload(text="no_such_key: 1\nupstreams: [{name: A}]\n")
    assert set(ask_all_pages(proxy).values()) == {200}
    assert body_of(proxy, "/config")["last_error"]


def test_a_configuration_with_routes_and_without_limits(stack):
    routes_of = [{"methods": ["GET"], "path_prefix": "/a", "timeouts": {"total": "1s"}},
                 {"methods": ["POST"], "retry": {"attempts": 0}}]
    proxy = stack.penstock(stack.to(stack.origin(), routes=routes_of, pool={"max_connections": "unlimited"}),
                           defaults={"timeouts": {"min_rate": {"size": "1KiB"}}})
    upstream, = body_of(proxy, "/config")["upstreams"]
    assert len(upstream["routes"]) == 2 and upstream["values"]["timeouts.min_rate.size"]["source"] == "defaults"
    assert proxy.fetch("http://api.test/").status == 200
    assert body_of(proxy, "/pools")["upstreams"][0]["hosts"][0]["limits"]["max_connections"] == "unlimited"


def test_a_thousand_names_are_enough(stack):
    zone = stack.dns(lambda name, kind, transport: Answer(rcode=NXDOMAIN))
    proxy = stack.penstock({"name": "any", "hosts": ["*.many.test"], "scheme": "http"},
                           dns={"servers": [zone.address], "negative_ttl": "1h"}, workers=1)
    with proxy.client() as client:
        for number in range(1001):
            client.fetch(f"http://h{number}.many.test/")
    told = body_of(proxy, "/dns")
    assert len(told["names"]) == 1000 and told["truncated"] is True


def draining(stack):
    """A daemon that drains for as long as a request is under way; what lets that end."""
    gate = threading.Event()
    origin = stack.origin(answering(lambda connection, request: (gate.wait(30), connection.reply())))
    proxy = stack.penstock(stack.to(origin))
    client = proxy.client()
    client.request("http://api.test/")
    wait_until(lambda: origin.requests, "it is under way")
    assert ask(proxy, "/drain", "POST").status == 200

    def finish():
        gate.set()
        assert client.response().status == 200
        assert proxy.process.wait(10 * TIME_FACTOR) == 0
    return proxy, finish


def test_a_daemon_that_drains(stack):
    proxy, finish = draining(stack)
    assert ask_all_pages(proxy) == {path: 503 if path == "/readyz" else 200 for path in PAGES}
    assert body_of(proxy, "/config")["listeners"][0]["address"].get("in_force") in (None, "closed")
    assert ask(proxy, "/reload", "POST").status == 409
    assert ask(proxy, "/drain", "POST").status == 200
    finish()


# Every answer that the document names

def of_a_frozen_worker(stack, method, path):
    proxy = stack.penstock(stack.to(stack.origin()), workers=2)
    with frozen(other_threads(proxy.process.pid)):
        response = ask(proxy, path, method)
    wait_until(lambda: proxy.admin("/livez")[0] == 200, "the workers turn again")
    return response


def of_a_draining_daemon(stack, method, path):
    proxy, finish = draining(stack)
    response = ask(proxy, path, method)
    finish()
    return response


def of_a_bad_file(stack, method, path):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.config_path.write_text("no_such_key: 1\nworkers: 0\n")
    return ask(proxy, path, method)


def of_an_unknown_upstream(stack, method, path):
    return ask(stack.penstock(stack.to(stack.origin())), path, method, name="nobody")


def of_a_bad_level(stack, method, path):
    return ask(stack.penstock(stack.to(stack.origin())), path, method, "?level=loud")


def of_a_good_question(stack, method, path):
    proxy = stack.penstock(stack.to(stack.origin()))
    proxy.fetch("http://api.test/")
    return ask(proxy, path, method, "?level=debug&for=1m30s")


def recipe(path, status):
    if path == "/drain":
        return of_a_draining_daemon
    if status == "503":
        return of_a_draining_daemon if path == "/readyz" else of_a_frozen_worker
    return {"200": of_a_good_question, "400": of_a_bad_level, "404": of_an_unknown_upstream, "409": of_a_draining_daemon,
            "422": of_a_bad_file}[status]


@pytest.mark.parametrize("method, path, status", [(*key, status) for key, operation in OPERATIONS.items()
                                                  for status in operation["responses"] if status != "default"])
def test_each_answer_that_is_named_is_given(stack, method, path, status):
    assert recipe(path, status)(stack, method, path).status == int(status)


@pytest.mark.parametrize("fields, host, status", [({}, "evil.test", 421), ({"Origin": "null"}, "localhost", 403),
                                                  ({"Content-Length": "5000"}, "localhost", 413)])
def test_each_refusal_is_the_default_answer(stack, fields, host, status):
    proxy = stack.penstock(stack.to(1))
    for method, path in OPERATIONS:
        with Client(proxy.admin_port) as client:
            response = client.fetch(path.replace("{name}", "api"), method, {**CONSENT, **fields}, host=host)
        assert check(method, path, response).status == status
    for method, path in routes(proxy.admin_port):
        other = "POST" if method == "GET" else "GET"
        with Client(proxy.admin_port) as client:
            response = client.fetch(target_of(path), other, CONSENT, b"" if other == "POST" else None, host="localhost")
        assert check(method, path.replace("NAME", "{name}"), response).status == 405
