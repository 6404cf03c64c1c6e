"""One of Python's clients, as an ordinary app uses it: two GETs (clients.py NAME URL URL), or everything that
test_exercises.py asks for (clients.py NAME exercise BASE_URL REFUSING_URL), told in a line of JSON."""

import asyncio
import hashlib
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path


def with_urllib(urls):
    for url in urls:
        with urllib.request.urlopen(url) as answer:
            print(answer.status)


def with_requests(urls):
    import requests

    with requests.Session() as session:
        for url in urls:
            print(session.get(url).status_code)


def with_requests_without_session(urls):
    import requests

    for url in urls:
        print(requests.get(url).status_code)


def with_httpx(urls):
    import httpx

    with httpx.Client() as client:
        for url in urls:
            print(client.get(url).status_code)


def with_aiohttp(urls, **options):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession(**options) as session:
            for url in urls:
                async with session.get(url) as answer:
                    await answer.read()
                    print(answer.status)

    asyncio.run(ask())


# Exercises: each asks(method, url, body) with bytes, with an iterator of bytes or with None; (status, body) comes back.


def exercise(ask, base, refusing):
    body = Path("upload.bin").read_bytes()
    answers = {"upload": ask("PUT", f"{base}/upload", body), "chunked": ask("POST", f"{base}/chunked", pieces_of(body))}
    for name in ("download", "moved", "relative", "missing", "unavailable"):
        answers[name] = ask("GET", f"{base}/{name}", None)
    answers["refused"] = ask("GET", refusing, None)
    print(json.dumps({name: [status, len(body), hashlib.sha256(body).hexdigest()]
                      for name, (status, body) in answers.items()}))


def pieces_of(body):
    return (body[at:at + 10_000] for at in range(0, len(body), 10_000))


def exercise_urllib(base, refusing):
    def ask(method, url, body):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    exercise(ask, base, refusing)


def exercise_requests(base, refusing):
    import requests

    with requests.Session() as session:
        def ask(method, url, body):
            answer = session.request(method, url, data=body)
            return answer.status_code, answer.content

        exercise(ask, base, refusing)


def exercise_httpx(base, refusing):
    import httpx

    with httpx.Client(follow_redirects=True) as client:
        def ask(method, url, body):
            answer = client.request(method, url, content=body)
            return answer.status_code, answer.content

        exercise(ask, base, refusing)


def exercise_aiohttp(base, refusing):
    import aiohttp

    async def ask(session, method, url, body):
        async with session.request(method, url, data=body if body is None or isinstance(body, bytes) else drip(body)) as answer:
            return answer.status, await answer.read()

    async def drip(pieces):
        for piece in pieces:
            yield piece

    async def open_session():
        return aiohttp.ClientSession(trust_env=True)

    with asyncio.Runner() as runner:
        session = runner.run(open_session())
        exercise(lambda *asked: runner.run(ask(session, *asked)), base, refusing)
        runner.run(session.close())


EXERCISES = {
    "urllib": exercise_urllib,
    "requests": exercise_requests,
    "httpx": exercise_httpx,
    "aiohttp": exercise_aiohttp,
}

CLIENTS = {
    "urllib": with_urllib,
    "requests": with_requests,
    "requests-without-session": with_requests_without_session,
    "httpx": with_httpx,
    "aiohttp": lambda urls: with_aiohttp(urls, trust_env=True),
    "aiohttp-as-it-is": with_aiohttp,
}

if sys.argv[2] == "exercise":
    EXERCISES[sys.argv[1]](*sys.argv[3:])
else:
    CLIENTS[sys.argv[1]](sys.argv[2:])
