"""The benchmark measures what it says: the floor relays whole bodies in four system calls and verifies the origin, the
load counts every failure and every wait, and medians, multiples and tables come out as defined. No timing is asserted."""

import hashlib
import http.client
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import counting  # noqa: E402
import readme  # noqa: E402
from figures import counts_table, spread, summarize, table  # noqa: E402
from peers import Floor, PlainFloor, WideFloor  # noqa: E402
from plots import cpu, latency  # noqa: E402
from stand import Failed, Stand, load, load_whole, refusals  # noqa: E402


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = Stand(tmp_path_factory.mktemp("stand"))
    yield stand
    stand.close()


@pytest.fixture
def start(stand):
    """start(kind): a proxy that is stopped again."""
    started = []

    def begin(kind):
        started.append(stand.proxy(kind))
        return started[-1]

    yield begin
    for proxy in started:
        proxy.stop()


def asked(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("kind", [Floor, WideFloor, PlainFloor])
def test_floor_relays_whole_bodies(stand, start, kind):
    proxy = start(kind)
    for size in ("1k", "64k", "1m"):
        assert asked(proxy.port, f"/bytes/{size}") == stand.origin.hashes[size]


def test_floor_takes_four_system_calls(stand):
    calls = counting.system_calls(stand, Floor, (50, 250))
    assert counting.without_waits(calls) <= 4.1, calls


def test_floor_verifies(stand):
    refusals(stand, [Floor])


def test_floor_hands_connections_on(stand, start):
    """A client may come anew before the end of its last connection was seen: at most twice as many as clients."""
    opened = stand.accepted()
    load_whole(start(Floor), "--anew", "--clients", 4, "--requests", 200)
    assert stand.accepted() - opened <= 8


@pytest.mark.parametrize("arguments", [("--post", 16384, "--url", "http://api.test/upload"), ("--clients", 8),
                                       ("--clients", 3, "--url", "http://api.test/bytes/64k")])
def test_load_counts_what_it_was_asked_for(start, arguments):
    figures = load_whole(start(Floor), "--requests", 100, *arguments)
    assert (figures["requests"], figures["failed"]) == (100, 0)


def test_load_speaks_tls_itself(stand):
    assert load(stand.origin.port, "--requests", 5, "--ca", stand.ca.file)["requests"] == 5


def test_load_counts_failures(start):
    figures = load(start(Floor).port, "--requests", 3, "--url", "http://api.test/bytes/none")
    assert (figures["requests"], figures["failed"]) == (0, 3)
    assert "404" in figures["why"]


def test_failure_ends_a_turn(start):
    with pytest.raises(Failed, match="floor: 1 of 1 requests failed"):
        load_whole(start(Floor), "--requests", 1, "--url", "http://api.test/bytes/none")


def test_latency_counts_from_the_instant_that_was_due(start):
    """One client, 25 ms each, 100 a second: the last of 50 waits behind the others, 12.5 ms for each of them."""
    figures = load_whole(start(Floor), "--rate", 100, "--url", "http://api.test/slow", seconds=0.5)
    assert figures["requests"] == 50
    assert figures["p99"] > 500_000


def turn(cpu_us, p50=100.0):
    return {"requests": 10, "rate": 5.0, "p50": p50, "p99": 2 * p50, "p99.9": 3 * p50, "cpu_us": cpu_us, "opened": 1}


def result(*turns):
    return {"rounds": turns, "opened_first": 2, "peak_rss_bytes": 3 << 20}


RESULTS = {"floor": result(turn(10.0), turn(20.0), turn(40.0)), "penstock": result(turn(11.0), turn(24.0), turn(44.0)),
           "nginx": result(turn(20.0), turn(20.0), turn(80.0)), "direct": result(*[turn(0.0, 70.0)] * 3)}


def test_multiples_are_of_the_same_round():
    summaries = summarize(RESULTS)
    assert summaries["penstock"]["floor"] == {"median": 1.1, "quartiles": [1.1, 1.15]}
    assert summaries["nginx"]["floor"]["median"] == 2.0
    assert summaries["penstock"]["of_best_peer"] == 0.55
    assert summaries["penstock"]["opened"] == 5
    assert summaries["penstock"]["added_p50"]["median"] == 30.0
    assert "floor" not in summaries["direct"]


def test_spread_of_one_round():
    assert spread([2.5]) == {"median": 2.5, "quartiles": [2.5, 2.5]}


def test_table_has_a_row_each():
    rows = table("a workload", summarize(RESULTS)).splitlines()
    assert [row.split()[0] for row in rows] == ["a", *RESULTS]
    assert "1.10 (1.10-1.15)" in rows[2]


def test_calls_of_strace():
    summary = ("% time     seconds  usecs/call     calls    errors syscall\n"
               "------ ----------- ----------- --------- --------- ----------------\n"
               " 60.00    0.000600           6       100         2 read\n"
               " 40.00    0.000400           4       100           epoll_wait\n"
               "100.00    0.001000           5       200         2 total\n")
    assert counting.calls_of(summary) == {"read": 100, "epoll_wait": 100}
    assert counting.without_waits({"read": 2.0, "epoll_wait": 2.0, "futex": 1.0}) == 2.0


def test_counts_table_without_instructions():
    text = counts_table({"go": {"instructions": None, "system_calls": {"read": 4.0, "futex": 0.01}, "without_waits": 4.0}})
    assert text.splitlines()[1].split() == ["go", "-", "4.01", "4.00", "read", "4"]


def whole_run():
    versions = {name: f"{name} version 1.2.3" for name in ("nginx", "haproxy", "nghttpx", "go", "squid", "openssl")}
    counts = {name: {"instructions": 30_000, "system_calls": {}, "without_waits": 4.0} for name in ("floor", "penstock")}
    return {"when": "today", "rounds": 3, "seconds": 2, "workers": 1, "counts": counts,
            "machine": {"cpu": "fast", "cpus": 2, "kernel": "6", "versions": versions},
            "workloads": {"get-1k-1": summarize(RESULTS), "rate-2000": summarize(RESULTS)}}


def test_plots_have_the_figures():
    assert "1.10×" in cpu(whole_run()) and "2.00×" in cpu(whole_run())
    assert "30 / 60" in latency(whole_run())


def test_readme_has_the_figures_of_the_last_run(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    for _ in range(2):
        readme.write(whole_run(), page)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after") and "old" not in lines
    assert "| GET 1 KiB, 1 client | **1.10** (1.10-1.15) | 2.00 |" in lines
    assert "| latency added at 2,000 requests/s, p50 / p99 µs | 30 / 60 | 30 / 60 | 30 / 60 |" in lines


def test_readme_without_a_place_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no place for the figures"):
        readme.write(whole_run(), page)
    assert page.read_text() == "nothing"
