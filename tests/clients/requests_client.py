"""An ordinary app on Python requests: nothing in it knows of the proxy, only http_proxy does."""

import sys

import requests

with requests.Session() as session:
    for number in (1, 2):
        answer = session.get(f"{sys.argv[1]}?requests={number}")
        print(answer.status_code, answer.text.strip(), "| Via:", answer.headers["Via"])
    answer = session.post(sys.argv[2], data=b"twelve bytes")
    print(answer.status_code, answer.text.strip())
