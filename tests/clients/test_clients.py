"""What the README's table of clients says, shown: each client runs as an ordinary app behind the
proxy, in front of a real TLS origin, and the access log tells in which form its two requests came,
over how many connections, and whether the second reused the connection to the origin."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.client import refuses
from support.penstock import TOP
from support.scripted_origin import answering
from support.waiting import wait_until

PROGRAMS = Path(__file__).resolve().parent / "programs"
PYTHON = "/usr/bin/python3"  # the one that Debian's packages belong to
URLS = ["http://api.test/hello?1", "http://api.test/hello?2"]
APT_HELPER = "/usr/lib/apt/apt-helper"


@dataclass
class Client:
    name: str                    # as the README calls it
    command: list                # {proxy} and {folder} are filled in
    connections: int             # to the proxy, for its two requests
    needs: list = field(default_factory=list)  # modules of Python
    env: dict = field(default_factory=dict)


def python(name, connections, *needs):
    return Client(f"Python {name}", [PYTHON, PROGRAMS / "clients.py", name, *URLS], connections, list(needs))


def node(label, name, connections):
    return Client(label, ["node", PROGRAMS / "clients.cjs", name, *URLS], connections)


JAVA_PROXY = ["-Dhttp.proxyHost=127.0.0.1", "-Dhttp.proxyPort={port}"]

POOLED = [
    Client("curl", ["curl", "-sS", *URLS], 1),
    Client("wget", ["wget", "-q", "-O", "{folder}/out", *URLS], 1),
    python("urllib", 2),
    python("requests", 1, "requests"),
    python("requests-without-session", 2, "requests"),
    python("httpx", 1, "httpx"),
    python("aiohttp", 2, "aiohttp"),
    node("Node http", "http", 1),
    node("Node undici", "undici", 2),
    node("Node axios", "axios", 1),
    Client("Go", ["go", "run", PROGRAMS.parent / "go_client.go", *URLS], 1, env={"GOCACHE": "{folder}/go"}),
    Client("Java HttpClient", ["java", *JAVA_PROXY, PROGRAMS / "Clients.java", "HttpClient", *URLS], 1),
    Client("Java HttpURLConnection", ["java", *JAVA_PROXY, PROGRAMS / "Clients.java", "HttpURLConnection", *URLS], 1),
    Client("PHP streams", ["php", PROGRAMS / "clients.php", "streams", *URLS], 2),
    Client("PHP curl", ["php", PROGRAMS / "clients.php", "curl", *URLS], 1),
    Client("Ruby", ["ruby", PROGRAMS / "clients.rb", *URLS], 1),
    Client("Perl LWP", ["perl", PROGRAMS / "clients.pl", *URLS], 1),
    Client("apt", [APT_HELPER, "download-file", URLS[0], "{folder}/1", "", URLS[1], "{folder}/2"], 1),
]


def skip_what_is_missing(client):
    program = client.command[0]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    for module in client.needs:
        if subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True).returncode != 0:
            pytest.skip(f"python3-{module} is not installed")


def run(command, proxy, folder, **environment):
    """Runs it as the README says: with http_proxy in both spellings, and nothing else."""
    filled = [str(word).format(port=proxy.port, folder=folder) for word in command]
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}  # NODE_USE_ENV_PROXY too
    more = {key: value.format(folder=folder) for key, value in environment.items()}
    return subprocess.run(filled, env={**kept, "http_proxy": proxy.url, "HTTP_PROXY": proxy.url, **more}, cwd=folder,
                          capture_output=True, text=True, timeout=120)


@pytest.fixture
def proxy(stack):
    return stack.penstock(stack.to(stack.nginx()))


@pytest.fixture
def scratch(tmp_path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def assert_pooled(done, entries, connections):
    assert done.returncode == 0, done.stderr
    assert {(entry["form"], entry["status"]) for entry in entries} == {("absolute", 200)}, entries
    assert [entry["reused"] for entry in entries] == [False] + [True] * (len(entries) - 1), entries
    assert len({entry["client"] for entry in entries}) == connections, entries


@pytest.mark.parametrize("client", POOLED, ids=lambda client: client.name)
def test_requests_come_in_absolute_form_and_are_pooled(client, proxy, scratch, request):
    skip_what_is_missing(client)
    environment = dict(client.env)
    if client.name in ("Node undici", "Node axios"):
        environment["NODE_PATH"] = request.getfixturevalue("node_modules")
    done = run(client.command, proxy, scratch, **environment)
    assert done.returncode == 0, done.stderr
    entries = proxy.wait_for_log(lambda line: line.get("path") == "/hello", count=2)
    assert_pooled(done, entries, client.connections)


# Tunnels


def test_undici_as_it_is_tunnels_http_urls_which_are_unwrapped_and_pooled(proxy, scratch, node_modules):
    done = run(["node", PROGRAMS / "clients.cjs", "undici-as-it-is", *URLS], proxy, scratch, NODE_PATH=node_modules)
    assert done.returncode == 0, done.stderr
    entries = proxy.wait_for_log(lambda line: line.get("path") == "/hello", count=2)
    assert [(entry["form"], entry["reused"]) for entry in entries] == [("unwrapped", False), ("unwrapped", True)], entries
    assert proxy.wait_for_log(lambda line: line["method"] == "CONNECT")["form"] == "connect"


@pytest.mark.parametrize("command", [
    ["curl", "-sS", "https://api.test/hello"], ["wget", "-q", "-O", "{folder}/out", "--tries=1", "https://api.test/hello"],
    [PYTHON, PROGRAMS / "clients.py", "requests", "https://api.test/hello"]], ids=["curl", "wget", "requests"])
def test_https_urls_are_tunnels_where_https_proxy_is_set(proxy, scratch, command):
    run(command, proxy, scratch, https_proxy=proxy.url)
    assert proxy.wait_for_log()["method"] == "CONNECT"


# Clients that pass the proxy by


@pytest.mark.parametrize("command", [
    ["node", PROGRAMS / "clients.cjs", "fetch", *URLS],
    [PYTHON, PROGRAMS / "clients.py", "aiohttp-as-it-is", *URLS],
    ["java", PROGRAMS / "Clients.java", "HttpClient", *URLS],
    ["php", PROGRAMS / "clients.php", "streams-as-they-are", *URLS],
    ["curl", "-sS", "https://api.test/hello"]],
    ids=["Node fetch", "aiohttp", "Java", "PHP streams", "https:// without https_proxy"])
def test_what_does_not_read_the_variable_never_comes(proxy, scratch, command):
    skip_what_is_missing(Client("", command, 0, ["aiohttp"] if "aiohttp-as-it-is" in command else []))
    run(command, proxy, scratch)
    # Whatever the command sent had come before this one.
    assert proxy.fetch("http://api.test/hello").status == 200
    proxy.wait_for_log()
    assert len(proxy.log_lines()) == 1, proxy.log_lines()


def test_go_never_proxies_localhost(proxy, scratch, stack):
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    local = stack.origin(tls=False)
    url = f"http://localhost:{local.port}/"
    done = run(["go", "run", PROGRAMS.parent / "go_client.go", url, url], proxy, scratch, GOCACHE="{folder}/go")
    assert done.returncode == 0 and len(local.requests) == 3 and proxy.log_lines() == []


# PHP-FPM: a new handle and a new connection to the proxy per request, and one to the origin for all


FPM = """\
[global]
error_log = {folder}/fpm.log
daemonize = no
[app]
listen = {folder}/fpm.sock
pm = static
pm.max_children = 2
{environment}
"""


@pytest.fixture
def fpm(scratch, request):
    """Starts PHP-FPM with further lines in its pool; returns what makes it run the program with a URL."""
    binary = next(iter(sorted(Path("/usr/sbin").glob("php-fpm*"))), None)
    if not binary or not shutil.which("cgi-fcgi"):
        pytest.skip("php-fpm or cgi-fcgi is not installed")

    def start(environment):
        (scratch / "fpm.conf").write_text(FPM.format(folder=scratch, environment=environment))
        process = subprocess.Popen([binary, "-F", "-R", "-n", "-d", "extension=curl", "-y", scratch / "fpm.conf"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        request.addfinalizer(lambda: (process.terminate(), process.wait(10)))
        wait_until(lambda: not refuses(scratch / "fpm.sock"), "php-fpm listens")
        return lambda url: ask_fpm(scratch, url)

    return start


def ask_fpm(folder, url):
    script = PROGRAMS / "clients.php"
    variables = {"SCRIPT_FILENAME": str(script), "SCRIPT_NAME": "/", "REQUEST_METHOD": "GET", "QUERY_STRING": f"url={url}",
                 "PATH": os.environ["PATH"]}
    done = subprocess.run(["cgi-fcgi", "-bind", "-connect", f"{folder}/fpm.sock"], env=variables, capture_output=True, text=True,
                          timeout=30)
    return done.stdout.rsplit("\n\n", 1)[-1].rsplit("\r\n\r\n", 1)[-1].strip()


def run_as_root():
    return ["user = root", "group = root"] if os.getuid() == 0 else []


def test_php_fpm_needs_the_variable_in_its_pool(proxy, fpm):
    ask = fpm("\n".join([*run_as_root(), f"env[http_proxy] = {proxy.url}"]))
    assert [ask(url.replace("?", "%3F")) for url in URLS] == ["200", "200"]
    entries = proxy.wait_for_log(count=2)
    assert [entry["reused"] for entry in entries] == [False, True]
    assert len({entry["client"] for entry in entries}) == 2


def test_php_fpm_clears_the_environment_it_was_started_in(proxy, fpm, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    ask = fpm("\n".join(run_as_root()))
    assert ask(URLS[0].replace("?", "%3F")) != "200"
    assert proxy.log_lines() == []


# Tools that speak to services of their own


def serving(files):
    """Answers with the file of the path, or 404."""

    def answer(connection, request):
        body = files(request.target.split("?")[0])
        connection.reply(body or b"", "200 OK" if body is not None else "404 Not Found")

    return answering(answer)


def test_git_clones_through_the_proxy(stack, scratch):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@a.test", "-c", "init.defaultBranch=main"]
    made = scratch / "made"
    subprocess.run([*git, "init", "-q", made], check=True)
    (made / "file").write_text("cloned\n")
    for step in (["add", "file"], ["commit", "-q", "-m", "one"], ["update-server-info"]):
        subprocess.run([*git, *step], cwd=made, check=True)

    def read(path):
        file = made / ".git" / path.removeprefix("/repo.git/")
        return file.read_bytes() if file.is_file() else None

    proxy = stack.penstock(stack.to(stack.origin(serving(read), names=("git.test",)), "git.test"))
    done = run(["git", "clone", "-q", "http://git.test/repo.git", "clone"], proxy, scratch)
    assert done.returncode == 0 and (scratch / "clone/file").read_text() == "cloned\n", done.stderr
    entries = proxy.wait_for_log(count=3)
    assert {entry["form"] for entry in entries} == {"absolute"} and entries[1]["reused"], entries
    assert len({entry["client"] for entry in entries}) == 1, entries


def test_npm_asks_its_registry_through_the_proxy(stack, scratch):
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    about = b'{"name":"thing","dist-tags":{"latest":"1.2.3"},"versions":{"1.2.3":{"name":"thing","version":"1.2.3"}}}'
    origin = stack.origin(serving(lambda path: about if path == "/thing" else None), names=("registry.test",))
    proxy = stack.penstock(stack.to(origin, "registry.test"))
    (scratch / "npmrc").write_text("registry=http://registry.test/\nupdate-notifier=false\nfetch-retries=0\n")
    for number in (1, 2):
        done = run(["npm", "view", "thing", "version", "--userconfig", "{folder}/npmrc", "--cache", f"{{folder}}/{number}"],
                   proxy, scratch, npm_config_registry="http://registry.test/")
        assert done.returncode == 0 and done.stdout.strip() == "1.2.3", done.stderr
    entries = proxy.wait_for_log(lambda line: line.get("path") == "/thing", count=2)
    assert {entry["form"] for entry in entries} == {"absolute"}
    assert [entry["reused"] for entry in entries] == [False, True]


# The table


def test_the_readme_has_a_row_for_each_client():
    rows = {cell for row in re.findall(r"^\| (.*?) \|", (TOP / "README.md").read_text(), re.MULTILINE)
            for cell in re.split(r", | and ", row)}
    wanted = {"curl", "wget", "Python urllib", "Python requests", "Python httpx", "Python aiohttp", "Node fetch", "Node undici",
              "Node axios", "Node got", "Node http", "Go", "Java HttpClient", "HttpURLConnection", "PHP streams", "PHP curl",
              "PHP-FPM", "Ruby", "Perl LWP", "apt", "git", "npm"}
    assert wanted - rows == set()
