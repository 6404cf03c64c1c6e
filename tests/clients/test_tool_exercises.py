"""What test_exercises.py shows of apps, of tools on the command line: curl, wget, apt, git (its smart protocol, by
git-http-backend) and npm upload, download, follow redirects and report the errors of the origin and the proxy."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

import exercises
from exercises import BASE, DOWNLOAD, LANDED, REFUSING, UPLOAD, told
from test_clients import APT_HELPER, run

ERRORS = {f"{BASE}/missing": 404, f"{BASE}/unavailable": 503, REFUSING: 502}


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


# curl and wget: a command each; [status, length, hash] of what it wrote, and its exit code


def ask_curl(proxy, folder, url, *options):
    done = run(["curl", "-sS", "-L", "-w", "%{{http_code}}", "-o", "out", *options, url], proxy, folder)
    return told(int(done.stdout), (folder / "out").read_bytes()), done.returncode


def ask_wget(proxy, folder, url, *options):
    done = run(["wget", "-S", "--tries=1", "--content-on-error", "-O", "out", *options, url], proxy, folder)
    statuses = re.findall(r"^ +HTTP/1\.1 (\d+)", done.stderr, re.MULTILINE)
    return told(int(statuses[-1]), (folder / "out").read_bytes()), done.returncode


ASKS = {"curl": ask_curl, "wget": ask_wget}
UPLOADS = {
    "curl": {"upload": ["-T", "upload.bin"],
             "chunked": ["--data-binary", "@upload.bin", "-H", "Transfer-Encoding: chunked"]},
    "wget": {"upload": ["--method=PUT", "--body-file=upload.bin"]},  # it has no chunked upload
}
FAILING = {"curl": (["--fail-with-body"], 22), "wget": ([], 8)}  # options, and the exit code for an answer of 400 and more


@pytest.mark.parametrize("tool", ASKS)
def test_curl_and_wget_send_and_see(tool, exercise_proxy, exercise_origin, exercise_folder):
    need(tool)
    asked = {**UPLOADS[tool], **{path: [] for path in ("download", "moved", "relative", "missing", "unavailable")}}
    seen = {path: ASKS[tool](exercise_proxy, exercise_folder, f"{BASE}/{path}", *options)[0]
            for path, options in asked.items()}
    assert seen == {path: exercises.SHOWN[path] for path in asked}
    assert exercises.uploads(exercise_origin, "/upload") == [(len(UPLOAD), True)]
    assert exercises.uploads(exercise_origin, "/chunked") == [("chunked", True)] * ("chunked" in asked)
    assert exercise_origin.accepted == 1 and exercise_origin.faults == []


@pytest.mark.parametrize("tool", ASKS)
def test_curl_and_wget_fail_by_errors_of_origin_and_proxy(tool, exercise_proxy, exercise_folder):
    need(tool)
    options, exit_code = FAILING[tool]
    seen = {url: ASKS[tool](exercise_proxy, exercise_folder, url, *options) for url in ERRORS}
    assert {url: (answer[0], code) for url, (answer, code) in seen.items()} == \
        {url: (status, exit_code) for url, status in ERRORS.items()}


# apt: downloads with a hash to keep (of relative Locations it knows only those that begin with a slash)


def download_with_apt(proxy, folder, url, content):
    need(APT_HELPER)
    hashed = "SHA256:" + hashlib.sha256(content).hexdigest()
    return run([APT_HELPER, "-o", "Acquire::Retries=0", "download-file", url, "{folder}/out", hashed], proxy, folder)


@pytest.mark.parametrize("path, content", [("download", DOWNLOAD), ("moved", LANDED), ("rooted", LANDED)],
                         ids=["download", "moved", "rooted"])
def test_apt_downloads_and_follows(path, content, exercise_proxy, exercise_folder):
    done = download_with_apt(exercise_proxy, exercise_folder, f"{BASE}/{path}", content)
    assert done.returncode == 0 and (exercise_folder / "out").read_bytes() == content, done.stderr
    exercise_proxy.wait_for_log(lambda line: line["status"] == 200)
    assert {line["form"] for line in exercise_proxy.log_lines()} == {"absolute"}


@pytest.mark.parametrize("url, status", ERRORS.items(), ids=map(str, ERRORS.values()))
def test_apt_reports_errors(url, status, exercise_proxy, exercise_folder):
    done = download_with_apt(exercise_proxy, exercise_folder, url, b"")
    assert done.returncode == 100 and re.search(rf"\b{status}  ", done.stderr), (done.stdout, done.stderr)


# git: clone and push by the smart protocol


GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@a.test", "-c", "init.defaultBranch=main"]


class GitServer:
    """A bare repository with DOWNLOAD in it behind git-http-backend, at /repo.git; /moved.git redirects there."""

    def __init__(self, folder):
        self.folder = folder
        self.repository = folder / "repo.git"
        made = folder / "made"
        subprocess.run([*GIT, "init", "-q", made], check=True)
        (made / "file").write_bytes(DOWNLOAD)
        for step in (["add", "file"], ["commit", "-q", "-m", "one"]):
            subprocess.run([*GIT, *step], cwd=made, check=True)
        subprocess.run([*GIT, "clone", "-q", "--bare", made, self.repository], check=True)

    def serve(self, connection):
        while request := connection.read_request():
            if request.target.startswith("/moved.git/"):
                place = "https://git.test" + request.target.replace("/moved.git", "/repo.git", 1)
                connection.reply(b"", "302 Found", {"Location": place})
            elif request.target.startswith("/down.git/"):
                connection.reply(b"", "503 Service Unavailable")
            elif request.target.startswith("/repo.git/"):
                connection.reply(*self._run_backend(request))
            else:
                exercises.reply(connection, request)

    def _run_backend(self, request):
        path, _, query = request.target.partition("?")
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "a",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.get("content-type") or "", "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.get("content-encoding") or "",
        }
        done = subprocess.run(["git", "http-backend"], env=environment, input=request.body, capture_output=True, timeout=60)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return body, fields.pop("Status", "200 OK"), fields

    def hash_of(self, revision):
        content = subprocess.run([*GIT, "show", revision], cwd=self.repository, check=True, capture_output=True).stdout
        return hashlib.sha256(content).hexdigest()


@pytest.fixture
def git_server(exercise_folder):
    need("git")
    return GitServer(exercise_folder)


@pytest.fixture
def git_origin(stack, git_server):
    return stack.origin(git_server.serve, names=("git.test",))


@pytest.fixture
def git_proxy(stack, git_origin):
    refusing = stack.origin(down=True, names=("refusing.test",))
    return stack.penstock(stack.to(git_origin, "git.test"), stack.to(refusing, "refusing.test"))


@pytest.mark.parametrize("repository", ["repo.git", "moved.git"])
def test_git_clones_by_its_smart_protocol(repository, git_proxy, git_origin, exercise_folder):
    done = run(["git", "clone", "-q", f"http://git.test/{repository}", "clone"], git_proxy, exercise_folder)
    assert done.returncode == 0, done.stderr
    assert (exercise_folder / "clone/file").read_bytes() == DOWNLOAD
    git_proxy.wait_for_log(lambda line: line.get("path", "").endswith("/git-upload-pack"))
    assert {line["form"] for line in git_proxy.log_lines()} == {"absolute"} and git_origin.accepted == 1


@pytest.mark.parametrize("buffer, chunked", [("1m", False), ("64k", True)], ids=["with a length", "chunked"])
def test_git_pushes(buffer, chunked, git_server, git_proxy, git_origin, exercise_folder):
    assert run(["git", "clone", "-q", "http://git.test/repo.git", "clone"], git_proxy, exercise_folder).returncode == 0
    clone = exercise_folder / "clone"
    shutil.copy(exercise_folder / "upload.bin", clone)
    for step in (["add", "upload.bin"], ["commit", "-q", "-m", "two"]):
        subprocess.run([*GIT, *step], cwd=clone, check=True)
    done = run(["git", "-c", f"http.postBuffer={buffer}", "push", "-q", "origin", "main"], git_proxy, clone)
    assert done.returncode == 0, done.stderr
    assert git_server.hash_of("main:upload.bin") == hashlib.sha256(UPLOAD).hexdigest()
    packs = [request for request in git_origin.requests if len(request.body) > len(UPLOAD)]
    assert [request.chunked for request in packs] == [chunked] and git_origin.faults == []


@pytest.mark.parametrize("url, words", [
    ("http://git.test/missing", "repository 'http://git.test/missing/' not found"),
    ("http://git.test/down.git", "error: 503"), (REFUSING, "error: 502")], ids=["404", "503", "502"])
def test_git_reports_errors(url, words, git_proxy, exercise_folder):
    done = run(["git", "clone", "-q", url, "clone"], git_proxy, exercise_folder)
    assert done.returncode == 128 and words in done.stderr


# npm: publishes a package and takes it back


class Registry:
    """Keeps what is published; a tarball moves by a redirect."""

    def __init__(self):
        self.about = None      # the document of the package "thing"
        self.tarball = None

    def serve(self, connection):
        while request := connection.read_request():
            self._answer(connection, request)

    def _answer(self, connection, request):
        path = request.target.split("?")[0]
        if path == "/thing" and request.method == "PUT":
            self._publish(json.loads(request.body))
            connection.reply(b"{}", "201 Created")
        elif path == "/thing" and self.about:
            connection.reply(json.dumps(self.about).encode())
        elif path.endswith(".tgz"):
            connection.reply(b"", "302 Found", {"Location": "/kept"})
        elif path == "/kept":
            connection.reply(self.tarball)
        else:
            exercises.reply(connection, request)

    def _publish(self, about):
        (attachment,) = about.pop("_attachments").values()
        self.about, self.tarball = about, base64.b64decode(attachment["data"])


@pytest.fixture
def registry():
    need("npm")
    return Registry()


@pytest.fixture
def npm_proxy(stack, registry):
    origin = stack.origin(registry.serve, names=("registry.test",))
    refusing = stack.origin(down=True, names=("refusing.test",))
    return stack.penstock(stack.to(origin, "registry.test"), stack.to(refusing, "refusing.test"))


def npm(proxy, folder, *words, registry="http://registry.test/", within="."):
    (folder / "npmrc").write_text(f"registry={registry}\nupdate-notifier=false\nfetch-retries=0\naudit=false\n"
                                  "//registry.test/:_authToken=token\n")
    cache = folder / f"cache-{words[0]}"  # what was published would be there
    return run(["npm", *words, "--userconfig", folder / "npmrc", "--cache", cache], proxy, folder / within,
               npm_config_registry=registry)


def test_npm_publishes_and_installs(npm_proxy, registry, exercise_folder):
    package = exercise_folder / "package"
    package.mkdir()
    shutil.copy(exercise_folder / "upload.bin", package)
    (package / "package.json").write_text('{"name": "thing", "version": "1.2.3"}')
    published = npm(npm_proxy, exercise_folder, "publish", within="package")
    assert published.returncode == 0, published.stderr
    (exercise_folder / "app").mkdir()
    installed = npm(npm_proxy, exercise_folder, "install", "thing@1.2.3", "--prefix", ".", within="app")
    assert installed.returncode == 0, installed.stderr
    assert (exercise_folder / "app/node_modules/thing/upload.bin").read_bytes() == UPLOAD
    assert npm_proxy.wait_for_log(lambda line: line.get("path") == "/kept")["form"] == "absolute"


@pytest.mark.parametrize("name, base, code", [
    ("missing", "http://registry.test/", "E404"), ("unavailable", "http://registry.test/", "E503"),
    ("thing", REFUSING, "E502")], ids=["404", "503", "502"])
def test_npm_reports_errors(name, base, code, npm_proxy, exercise_folder):
    done = npm(npm_proxy, exercise_folder, "view", name, "version", registry=base)
    assert done.returncode == 1 and f"code {code}" in done.stderr, done.stderr
