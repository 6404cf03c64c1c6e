"""From the figures of rounds to medians, multiples of the floor, tables, and the facts of the machine."""

import hashlib
import platform
import re
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
OURS = ("penstock", "floor", "floor-64k", "direct")  # whoever else is there is a peer
VERSIONS = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "nghttpx": ["nghttpx", "--version"],
            "squid": ["squid", "-v"], "go": ["go", "version"], "openssl": ["openssl", "version"]}


def spread(values):
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}


def _per_round(result, other, key, combine):
    return [combine(mine[key], theirs[key]) for mine, theirs in zip(result["rounds"], other["rounds"])]


def _summary(result, floor, direct):
    turns = result["rounds"]
    summary = {key: spread([turn[key] for turn in turns]) for key in ("rate", "p50", "p99", "p99.9", "cpu_us")}
    summary["requests"] = sum(turn["requests"] for turn in turns)
    summary["opened"] = result["opened_first"] + sum(turn["opened"] for turn in turns)
    summary["peak_rss_bytes"] = result["peak_rss_bytes"]
    if floor and summary["cpu_us"]["median"]:
        summary["floor"] = spread(_per_round(result, floor, "cpu_us", lambda mine, its: mine / its))
    for key in ("p50", "p99") if direct else ():
        summary[f"added_{key}"] = spread(_per_round(result, direct, key, lambda mine, its: mine - its))
    return summary


def summarize(results):
    """{name: summary} of a workload; multiples and differences are taken round by round."""
    floor, direct = results.get("floor"), results.get("direct")
    summaries = {name: _summary(result, floor, direct) for name, result in results.items()}
    peers = [s["floor"]["median"] for name, s in summaries.items() if name not in OURS and "floor" in s]
    for summary in summaries.values():
        if peers and "floor" in summary:
            summary["of_best_peer"] = round(summary["floor"]["median"] / min(peers), 3)
    return summaries


def aligned(rows):
    """The first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def _multiple(summary):
    if "floor" not in summary:
        return "-"
    low, high = summary["floor"]["quartiles"]
    return f"{summary['floor']['median']:.2f} ({low:.2f}-{high:.2f})"


def _median(summary, key, form):
    return format(summary[key]["median"], form) if key in summary else "-"


def table(title, summaries):
    added = any("added_p50" in summary for summary in summaries.values())
    rows = [(title, "req/s", "p50 us", "p99", "p99.9", "CPU us", "x floor (quartiles)", "x best peer", "peak MiB", "opened",
             *(("added p50", "added p99") if added else ()))]
    for name, s in summaries.items():
        rows.append((name, _median(s, "rate", ",.0f"), *(_median(s, key, ",.0f") for key in ("p50", "p99", "p99.9")),
                     _median(s, "cpu_us", ",.1f"), _multiple(s), f"{s['of_best_peer']:.2f}" if "of_best_peer" in s else "-",
                     f"{s['peak_rss_bytes'] / (1 << 20):.1f}", f"{s['opened']:,}",
                     *((_median(s, "added_p50", ",.0f"), _median(s, "added_p99", ",.0f")) if added else ())))
    return aligned(rows)


def counts_table(counts):
    rows = [("per GET of 1 KiB", "instructions", "system calls", "without waits", "which")]
    for name, count in counts.items():
        instructions = count["instructions"]
        rows.append((name, f"{instructions:,}" if instructions else "-", f"{sum(count['system_calls'].values()):.2f}",
                     f"{count['without_waits']:.2f}",
                     " ".join(f"{call} {each:g}" for call, each in count["system_calls"].items() if each >= 0.05)))
    return aligned(rows)


def _first_version(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout.splitlines()[0].strip()


def machine(penstock):
    """What the figures depend on beside the programs' sources."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {"cpu": processor.group(1) if processor else platform.machine(), "cpus": len(_cpus()),
            "kernel": platform.release(), "memory_kib": int(re.search(r"\d+", Path("/proc/meminfo").read_text()).group()),
            "versions": {"penstock": _first_version([penstock, "--version"]),
                         **{name: _first_version(command) for name, command in VERSIONS.items()}},
            "floor_sha256": hashlib.sha256((HERE / "floor.cc").read_bytes()).hexdigest()}


def _cpus():
    return re.findall(r"^processor\s*:", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
