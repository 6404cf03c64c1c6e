"""The plots of the README as SVG: one file that reads on light and on dark pages alike."""

from html import escape

from rounds import WORKLOADS

WIDTH, ROW, LABEL, BAR, GAP = 860, 20, 84, 220, 28
PANEL = 410
FULL = 4.0  # multiples of the floor; longer bars are cut, their figure is written out
NAMES = {"penstock": "penstock", "nginx": "nginx", "haproxy": "HAProxy", "nghttpx": "nghttpx", "go": "Go, tuned",
         "go-default": "Go, default", "squid": "Squid"}

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; } .note { fill: #59636e; }
  .bar { fill: #9aa4af; } .own { fill: #0969da; } .pale { opacity: 0.45; }
  .line { stroke: #59636e; stroke-width: 1; } .floor { stroke: #59636e; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .note { fill: #9198a1; }
    .bar { fill: #656c76; } .own { fill: #4493f8; }
    .line, .floor { stroke: #9198a1; }
  }
"""


def _text(x, y, text, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _rect(x, y, width, kind):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{ROW - 7}" class="{kind}"/>'


def _line(x1, y1, x2, y2, kind="line"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _svg(height, title, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{escape(title)}"><style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n")


def _at(multiple):
    return LABEL + BAR * min(multiple, FULL) / FULL


def _cpu_row(name, spread, y):
    """A bar to the median, a line from quartile to quartile, the figure."""
    middle, (low, high) = spread["median"], spread["quartiles"]
    kind = "own" if name == "penstock" else "bar"
    parts = [_text(LABEL - 6, y + 11, NAMES[name], anchor="end"), _rect(LABEL, y, _at(middle) - LABEL, kind)]
    if middle < FULL:
        parts.append(_line(_at(low), y + 6.5, _at(high), y + 6.5))
    return parts + [_text(max(_at(1), _at(middle), _at(high)) + 6, y + 11, f"{middle:.2f}×" + (" (cut)" if middle > FULL else ""))]


def _cpu_panel(title, summaries):
    rows = [(name, summaries[name]["floor"]) for name in NAMES if name in summaries and "floor" in summaries[name]]
    parts = [_text(0, 14, title, "title"), _line(_at(1), 20, _at(1), 26 + ROW * len(rows), "floor")]
    for number, (name, spread) in enumerate(rows):
        parts += _cpu_row(name, spread, 26 + ROW * number)
    return parts, 26 + ROW * len(rows) + GAP


def _grid(panels):
    """Two columns; (parts, height)."""
    placed, y = [], 58
    for left in range(0, len(panels), 2):
        pair = panels[left:left + 2]
        for column, (parts, _) in enumerate(pair):
            placed.append(f'<g transform="translate({10 + column * (PANEL + 20)} {y})">' + "\n".join(parts) + "</g>")
        y += max(height for _, height in pair)
    return placed, y


def cpu(figures):
    title = f"CPU time per request as a multiple of a blind relay's, {_workers(figures)}"
    panels = [_cpu_panel(WORKLOADS[name].title, summaries) for name, summaries in figures["workloads"].items() if not WORKLOADS[name].direct]
    parts, height = _grid(panels)
    note = f"median and quartiles of {figures['rounds']} interleaved rounds; dashed: the relay itself; shorter is better"
    return _svg(height, title, [_text(10, 20, title, "title"), _text(10, 36, note, "note"), *parts])


def _workers(figures):
    return "one worker each" if figures["workers"] == 1 else f"{figures['workers']} workers each"


def latency(figures):
    """What each adds to a request of a fixed rate: p50 in front of p99."""
    summaries = next(s for s in figures["workloads"].values() if any("added_p50" in entry for entry in s.values()))
    rows = [(name, summaries[name]["added_p50"]["median"], summaries[name]["added_p99"]["median"])
            for name in ("floor", *NAMES) if name in summaries and name != "go-default"]
    longest = max(1.0, *(p99 for _, _, p99 in rows))
    title = "Latency added to a direct TLS keep-alive connection at 2,000 requests/s, µs"
    parts = [_text(10, 20, title, "title"), _text(10, 36, f"p50 (full) and p99 (pale), {_workers(figures)}", "note")]
    for number, (name, p50, p99) in enumerate(rows):
        y, kind = 48 + ROW * number, "own" if name == "penstock" else "bar"
        scale = (WIDTH - 330) / longest
        parts += [_text(LABEL + 4, y + 11, NAMES.get(name, "blind relay"), anchor="end"),
                  _rect(LABEL + 10, y, max(p50, p99) * scale, f"{kind} pale"), _rect(LABEL + 10, y, p50 * scale, kind),
                  _text(LABEL + 16 + max(p50, p99, 0) * scale, y + 11, f"{p50:,.0f} / {p99:,.0f}")]
    return _svg(60 + ROW * len(rows), title, parts)


def draw(figures, folder):
    """Writes what the figures suffice for; the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    if any("floor" in entry for summaries in figures["workloads"].values() for entry in summaries.values()):
        drawn["cpu.svg"] = cpu(figures)
    if any("added_p50" in entry for summaries in figures["workloads"].values() for entry in summaries.values()):
        drawn["latency.svg"] = latency(figures)
    for name, text in drawn.items():
        (folder / name).write_text(text)
    return [folder / name for name in drawn]
