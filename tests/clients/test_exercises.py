"""What apps do beyond a GET, by each client through the proxy to a real TLS origin: an upload with a length and one in
chunks, a download, redirects, errors of the origin (404, 503) and the proxy's own (502). Each program tells what it saw
in a line of JSON; that, what the origin received and the access log must agree."""

import json
import subprocess
from dataclasses import dataclass

import pytest

import exercises
from test_clients import JAVA_PROXY, PROGRAMS, PYTHON, Client, run, skip_what_is_missing


@dataclass
class Exercise:
    client: Client
    chunked: bool = True     # whether the client uploads without a length by itself
    follows: bool = True     # redirects
    form: str = "absolute"   # in which its requests come


def program(label, command, needs=(), env=None, **differs):
    asked = ["exercise", exercises.BASE, exercises.REFUSING]
    return Exercise(Client(label, [*command, *asked], 0, list(needs), env or {}), **differs)


def python(name, *needs):
    return program(f"Python {name}", [PYTHON, PROGRAMS / "clients.py", name], needs)


def node(label, name, env=None, **differs):
    return program(label, ["node", PROGRAMS / "clients.cjs", name], env=env, **differs)


EXERCISES = [
    python("urllib"),
    python("requests", "requests"),
    python("httpx", "httpx"),
    python("aiohttp", "aiohttp"),
    node("Node http", "http", follows=False),
    node("Node fetch with undici's dispatcher", "fetch-with-dispatcher"),
    node("Node fetch", "fetch", {"NODE_USE_ENV_PROXY": "1"}, form="unwrapped"),
    node("Node undici", "undici"),
    node("Node undici as it is", "undici-as-it-is", form="unwrapped"),
    node("Node axios", "axios"),
    node("Node got", "got", form="unwrapped"),
    program("Go", ["go", "run", PROGRAMS / "exercise.go"], env={"GOCACHE": "{folder}/go"}),
    program("Java HttpClient", ["java", *JAVA_PROXY, PROGRAMS / "Clients.java", "HttpClient"]),
    program("Java HttpURLConnection", ["java", *JAVA_PROXY, PROGRAMS / "Clients.java", "HttpURLConnection"]),
    program("PHP streams", ["php", PROGRAMS / "clients.php", "streams"], chunked=False),
    program("PHP curl", ["php", PROGRAMS / "clients.php", "curl"]),
    program("Ruby", ["ruby", PROGRAMS / "clients.rb"]),
    program("Perl LWP", ["perl", PROGRAMS / "clients.pl"]),
]


def environment_of(client, request):
    """What the client's program needs in its environment; skips where this Node does not have it."""
    if client.command[0] != "node":
        return client.env
    if "NODE_USE_ENV_PROXY" in client.env:
        has = "process.exit(process.allowedNodeEnvironmentFlags.has('--use-env-proxy') ? 0 : 1)"
        if subprocess.run(["node", "-e", has]).returncode != 0:
            pytest.skip("this Node has no NODE_USE_ENV_PROXY (22.21 and 24.5 have)")
    if client.command[2] in ("http", "fetch"):  # Node's own
        return client.env
    return {**client.env, "NODE_PATH": request.getfixturevalue("node_modules")}


def expected_of(exercise):
    shown = dict(exercises.SHOWN)
    if not exercise.chunked:
        del shown["chunked"]
    if not exercise.follows:
        shown["moved"] = shown["relative"] = exercises.told(302, b"")
    return shown


def assert_logged(proxy, origin, form, count):
    """Each request once, in this form, and all to the origin over one connection of it."""
    entries = proxy.wait_for_log(lambda line: line["method"] != "CONNECT", count=count)
    assert {entry["form"] for entry in entries} == {form}, entries
    assert [entry["status"] for entry in entries if entry["host"].startswith("refusing.test")] == [502], entries
    reused = [entry["reused"] for entry in entries if entry["host"].startswith("api.test")]
    assert reused == [False] + [True] * (count - 2) and origin.accepted == 1, entries


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.client.name)
def test_what_a_client_sends_and_sees(exercise, exercise_proxy, exercise_origin, exercise_folder, request):
    skip_what_is_missing(exercise.client)
    proxy, origin = exercise_proxy, exercise_origin
    done = run(exercise.client.command, proxy, exercise_folder, **environment_of(exercise.client, request))
    assert done.returncode == 0, done.stderr
    seen, wanted = json.loads(done.stdout), expected_of(exercise)
    assert seen.pop("refused")[0] == 502
    assert seen == wanted
    assert exercises.uploads(origin, "/upload") == [(len(exercises.UPLOAD), True)]
    assert exercises.uploads(origin, "/chunked") == [("chunked", True)] * exercise.chunked
    followed = 2 if exercise.follows else 0
    assert_logged(proxy, origin, exercise.form, len(wanted) + followed + 1)
    assert origin.faults == []
