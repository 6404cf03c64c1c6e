"""The figures of a run as the README shows them: between two marks, replaced by each run with --readme."""

import re

from plots import NAMES
from rounds import WORKLOADS

BEGIN, END = "<!-- figures of tests/bench/run.sh -->", "<!-- end of figures -->"


def _table(head, rows):
    cells = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _cpu(figures, names):
    """A row for each workload: the multiple of the floor, with quartiles for penstock."""
    rows = []
    for workload, summaries in figures["workloads"].items():
        if not WORKLOADS[workload].direct:
            rows.append([WORKLOADS[workload].title, *(_multiple(name, summaries.get(name)) for name in names)])
    return _table(["CPU per request, × floor", *(NAMES[name] for name in names)], rows)


def _multiple(name, summary):
    if not summary or "floor" not in summary:
        return ""
    middle, (low, high) = summary["floor"]["median"], summary["floor"]["quartiles"]
    return f"**{middle:.2f}** ({low:.2f}-{high:.2f})" if name == "penstock" else f"{middle:.2f}"


def _others(figures, names):
    """(what, {name: figure}) of what is not CPU time; only what was measured."""
    counts, workloads = figures["counts"], figures["workloads"]
    busy, rated = workloads.get("get-1k-256", {}), workloads.get("rate-2000", {})
    rows = [
        ("user-space instructions per GET of 1 KiB", {n: f"{c['instructions']:,}" for n, c in counts.items() if c["instructions"]}),
        ("system calls per GET of 1 KiB, but epoll_wait", {n: f"{c['without_waits']:.1f}" for n, c in counts.items()}),
        ("latency added at 2,000 requests/s, p50 / p99 µs",
         {n: f"{s['added_p50']['median']:.0f} / {s['added_p99']['median']:.0f}" for n, s in rated.items() if "added_p50" in s}),
        ("peak resident memory with 256 clients, MiB", {n: f"{s['peak_rss_bytes'] / (1 << 20):.0f}" for n, s in busy.items()}),
        ("connections to the origin opened for 256 clients", {n: f"{s['opened']:,}" for n, s in busy.items()})]
    return _table(["", "floor", *(NAMES[name] for name in names)],
                  [[what, *(found.get(name, "") for name in ("floor", *names))] for what, found in rows if found])


def _setting(figures):
    machine, versions = figures["machine"], figures["machine"]["versions"]
    peers = ", ".join(_short(name, versions[name]) for name in ("nginx", "haproxy", "nghttpx", "go", "squid", "openssl"))
    workers = "one worker" if figures["workers"] == 1 else f"{figures['workers']} workers"
    return (f"{figures['when']}, {machine['cpu']}, {machine['cpus']} CPUs, Linux {machine['kernel']}; {workers} each; medians of "
            f"{figures['rounds']} rounds of {figures['seconds']:g} s, in brackets the quartiles; {peers}.")


def _short(name, text):
    """The name and the first thing that looks like a version."""
    return f"{NAMES.get(name, 'OpenSSL').split(',')[0]} {re.search(r'[0-9]+[.][0-9.]*[0-9]', text).group()}"


def section(figures):
    names = [name for name in NAMES if any(name in summaries for summaries in figures["workloads"].values())]
    return "\n\n".join([_setting(figures), _cpu(figures, names), _others(figures, names)])


def write(figures, path):
    """Puts the figures between the marks of the file; ValueError when it has none."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: no place for the figures: it needs the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{section(figures)}\n{END}{after}")
