"""Parts of scale.py: bytes of resident memory. Of one more connection it is the slope over three sizes (least
squares) of the resident memory that no file backs, each measured with a daemon of its own, all connections idle."""

import time

from pool_shows import tell, wrk
from support.idle_crowd import connections, memory_of, served_clients, silent_clients, slope, use_at_once
from support.waiting import wait_until

SETTLED = 1.0      # s; tickets and closes that are under way when the last response has come
GIVEN_BACK = 30.0  # s; a daemon that holds much in vain gives it back after 20
ONE_WORKER = {"workers": 1, "access_log": {"path": "off"}}
MIB = 1 << 20


def resident(proxy):
    time.sleep(SETTLED)
    return memory_of(proxy)["Anonymous"]


def start(stack, _):
    proxy = stack.penstock(stack.to(stack.nginx(log=False)), **ONE_WORKER)
    time.sleep(SETTLED)
    memory = memory_of(proxy)
    tell("resident, MiB", round(memory["Rss"] / MIB, 2))
    tell("of it its own alone, MiB", round(memory["Anonymous"] / MIB, 2))
    proxy.stop()
    return {"resident": memory["Rss"], "own": memory["Anonymous"]}


def per_connection(what, sizes, measure):
    points = [(count, measure(count)) for count in sizes]
    for count, size in points:
        tell(f"{count:,} {what}", f"{size / MIB:.1f} MiB")
    figure = round(slope(points))
    tell("bytes each", f"{figure:,}")
    return figure


def idle_clients(stack, options):
    origin = stack.nginx(log=False)
    client = {"idle_timeout": "10m", "max_connections": 2 * options.clients}

    def after(open_clients):
        def measure(count):
            proxy = stack.penstock(stack.to(origin), client=client, **ONE_WORKER)
            clients = open_clients(proxy, count)
            size = resident(proxy)
            for one in clients:
                one.close()
            proxy.stop()
            return size
        return measure

    sizes = [options.clients // 4, options.clients // 8 * 5, options.clients]
    return {"served": per_connection("clients, served once", sizes,
                                     after(lambda proxy, count: served_clients(proxy, count, b"api.test"))),
            "silent": per_connection("clients that have said nothing", sizes, after(silent_clients))}


def idle_tls(stack, options):
    """Two origins: one nginx of ours takes 4,096 connections."""
    origins = {name: stack.nginx(log=False) for name in "ab"}

    def after(fill, **pool):
        def measure(count):
            each = count // len(origins)
            limits = {"max_connections": each, "max_idle": each, "max_waiting": each, "idle_timeout": "10m",
                      **{key: each for key in pool}}
            upstreams = [stack.to(origin, host=f"{name}.api.test", pool=limits, timeouts={"queue": "5m"})
                         for name, origin in origins.items()]
            proxy = stack.penstock(*upstreams, process={"max_idle_connections": count},
                                   client={"max_connections": count, "body_stall": "5m"}, **ONE_WORKER)
            fill(proxy, each)
            size = resident(proxy)
            proxy.stop()
            return size
        return measure

    def all_warm(proxy, each):
        for name in origins:
            wait_until(lambda name=name: connections(proxy, name, "idle") == each, "all are open", 300)

    def all_used(proxy, each):
        for name in origins:
            use_at_once(proxy, each, b"%s.api.test" % name.encode(), name)
        time.sleep(GIVEN_BACK)

    sizes = [options.connections // 5, options.connections // 5 * 3, options.connections]
    return {"warm": per_connection("connections kept warm", sizes, after(all_warm, min_idle=True)),
            "used": per_connection("connections, each used once", sizes, after(all_used))}


def long(stack, options):
    """With every line of the access log written, to nowhere."""
    proxy = stack.penstock(stack.to(stack.nginx(log=False)), workers=2,
                           access_log={"path": "/dev/null", "only": "all"})
    sizes, served, failed = [], 0, 0
    for tenth in range(1, 11):
        while served < options.requests * tenth // 10:
            outcome = wrk(proxy.port, 32, 5)
            served, failed = served + outcome["requests"], failed + outcome["failed"]
        sizes.append(memory_of(proxy)["Rss"])
        tell(f"{served:,} requests", f"{sizes[-1] / MIB:.2f} MiB")
    tell("failed", failed)
    tell("growth since the first tenth, KiB", (sizes[-1] - sizes[0]) >> 10)
    proxy.stop()
    return {"requests": served, "failed": failed, "resident": sizes}
