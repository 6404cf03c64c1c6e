"""Two GETs with one of Python's clients, as an ordinary app makes them: clients.py NAME URL URL."""

import asyncio
import sys
import urllib.request


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


CLIENTS = {
    "urllib": with_urllib,
    "requests": with_requests,
    "requests-without-session": with_requests_without_session,
    "httpx": with_httpx,
    "aiohttp": lambda urls: with_aiohttp(urls, trust_env=True),
    "aiohttp-as-it-is": with_aiohttp,
}

CLIENTS[sys.argv[1]](sys.argv[2:])
