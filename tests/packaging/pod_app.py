"""An app in a pod that calls out by http_proxy, also for so many seconds after SIGTERM. Its exit code says whether any call
failed, standard error which.

    pod_app.py SECONDS"""

import signal
import sys
import threading
import time
import urllib.request

asked = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: asked.set())


def call():
    with urllib.request.urlopen("http://api.payments.example/v1/call", timeout=10) as response:
        return response.status == 200


def main(seconds):
    end = failed = None
    while end is None or time.monotonic() < end:
        try:
            good = call()
        except OSError as fault:
            good = False
            print(fault, file=sys.stderr, flush=True)
        failed = failed or not good
        if asked.is_set() and end is None:
            end = time.monotonic() + seconds
        threading.Event().wait(0.02)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
