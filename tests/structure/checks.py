"""The rules of the tree that a program can judge. Each check takes the top folder and returns the
violations as sentences; an empty list is a clean tree."""

import re
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 600
MAX_UNITS = 2  # translation units that may see a heavy header, but
MORE_UNITS = {"nlohmann-json": 4}  # two that write it, two that read it
HEAVY_HEADERS = {
    "yaml-cpp": re.compile(r"yaml-cpp/"),
    "CLI11": re.compile(r"CLI/"),
    "nlohmann-json": re.compile(r"nlohmann/"),
    "spdlog": re.compile(r"spdlog/"),
}
UV_MODULES = {"event", "net"}
# Spelled in halves, so that this file does not find itself.
MARKS = ("TO" "DO", "FIX" "ME", "X" "XX", "HA" "CK", "st" "ub", "not imple" "mented")
UNFINISHED = re.compile(r"\b(" + "|".join(MARKS) + r")\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
MODULE_CALL = re.compile(r"penstock_module\(\s*(\w+)(.*?)\)", re.DOTALL)
KEYWORDS = {"SOURCES", "USES", "LIBRARIES"}


@dataclass
class Module:
    name: str
    sources: list
    uses: list


def module_order(top: Path) -> list:
    text = (top / "daemon/CMakeLists.txt").read_text()
    return re.search(r"foreach\(module ([^)]*)\)", text).group(1).split()


def declared_modules(top: Path) -> dict:
    modules = {}
    for path in sorted((top / "daemon").glob("*/CMakeLists.txt")):
        text = re.sub(r"#.*", "", path.read_text())
        for name, arguments in MODULE_CALL.findall(text):
            parts = {keyword: [] for keyword in KEYWORDS}
            current = None
            for word in arguments.split():
                if word in KEYWORDS:
                    current = word
                elif current:
                    parts[current].append(word)
            modules[name] = Module(name, parts["SOURCES"], parts["USES"])
    return modules


def reachable(modules: dict, name: str) -> set:
    """What a module may include: itself, what it uses, and what those use."""
    seen, open_ends = set(), [name]
    while open_ends:
        current = open_ends.pop()
        if current not in seen:
            seen.add(current)
            open_ends += modules[current].uses if current in modules else []
    return seen


def code_files(top: Path) -> list:
    return sorted(p for p in (top / "daemon").rglob("*") if p.suffix in {".h", ".cc"})


def includes(path: Path) -> list:
    return [(quote, name) for quote, name in INCLUDE.findall(path.read_text(errors="replace"))]


def check_module_order(top: Path) -> list:
    order, found = module_order(top), []
    for module in declared_modules(top).values():
        for used in module.uses:
            if used not in order:
                found.append(f"daemon/{module.name}/CMakeLists.txt: uses {used}, which is no module")
            elif order.index(used) >= order.index(module.name):
                found.append(f"daemon/{module.name}/CMakeLists.txt: uses {used}, which stands above it")
    return found


def check_includes(top: Path) -> list:
    order, modules, found = module_order(top), declared_modules(top), []
    for path in code_files(top):
        relative = path.relative_to(top / "daemon")
        own = relative.parts[0] if len(relative.parts) > 1 else None
        if own not in order:
            found.append(f"daemon/{relative}: in no module's folder")
            continue
        allowed = reachable(modules, own)
        for quote, name in includes(path):
            target = name.split("/")[0]
            if quote == '"' and target in order and target not in allowed:
                found.append(f"daemon/{relative}: includes {name}, but {own} does not use {target}")
            elif quote == '"' and not (top / "daemon" / name).exists():
                found.append(f"daemon/{relative}: includes {name}, which daemon/ does not hold")
    return found


def check_uv(top: Path) -> list:
    return [f"daemon/{path.relative_to(top / 'daemon')}: uv.h belongs behind event/ and net/"
            for path in code_files(top)
            if path.relative_to(top / "daemon").parts[0] not in UV_MODULES
            and any(name == "uv.h" for _, name in includes(path))]


def seen_headers(top: Path, unit: Path) -> set:
    """The outside headers that a translation unit sees, through our own headers too."""
    seen, outside, open_ends = set(), set(), [unit]
    while open_ends:
        current = open_ends.pop()
        if current in seen or not current.exists():
            continue
        seen.add(current)
        for quote, name in includes(current):
            if quote == "<":
                outside.add(name)
            else:
                open_ends.append(top / "daemon" / name)
    return outside


def check_heavy_headers(top: Path) -> list:
    units = {library: [] for library in HEAVY_HEADERS}
    for unit in (p for p in code_files(top) if p.suffix == ".cc"):
        headers = seen_headers(top, unit)
        for library, pattern in HEAVY_HEADERS.items():
            if any(pattern.match(header) for header in headers):
                units[library].append(str(unit.relative_to(top)))
    return [f"{library} is seen by {len(where)} translation units: {', '.join(where)}"
            for library, where in units.items() if len(where) > MORE_UNITS.get(library, MAX_UNITS)]


def cmake_words(folder: Path) -> set:
    return set(re.findall(r"[\w./+-]+\.(?:cc|h)\b", (folder / "CMakeLists.txt").read_text()))


def check_every_source_is_built(top: Path) -> list:
    """A .cc nobody compiles is dead; so is a header that nothing includes."""
    found = []
    included = {name for base in ("daemon", "tests") for p in (top / base).rglob("*")
                if p.suffix in {".h", ".cc"} for quote, name in includes(p) if quote == '"'}
    for path in code_files(top):
        folder = top / "daemon" / path.relative_to(top / "daemon").parts[0]
        if not (folder / "CMakeLists.txt").exists():
            found.append(f"{path.relative_to(top)}: its folder has no CMakeLists.txt")
        elif path.suffix == ".cc" and str(path.relative_to(folder)) not in cmake_words(folder):
            found.append(f"{path.relative_to(top)}: in no CMake target")
        elif path.suffix == ".h" and str(path.relative_to(top / "daemon")) not in included:
            found.append(f"{path.relative_to(top)}: included by nothing")
    return found


def check_unit_tests_are_built(top: Path) -> list:
    found = []
    for path in sorted((top / "tests/unit").rglob("*_test.cc")):
        listing = path.parent / "CMakeLists.txt"
        if not listing.exists() or path.name not in cmake_words(path.parent):
            found.append(f"{path.relative_to(top)}: in no CMake target, so it never runs")
    return found


def text_files(top: Path) -> list:
    suffixes = {".h", ".cc", ".py", ".sh", ".go", ".lua", ".txt", ".cmake", ".yaml", ".service", ".socket"}
    roots = ("daemon", "tests", "deploy", "systemd", "config")
    return sorted(p for root in roots if (top / root).exists()
                  for p in (top / root).rglob("*") if p.suffix in suffixes and p.is_file())


def check_file_length(top: Path) -> list:
    lengths = ((p, p.read_text(errors="replace").count("\n"))
               for p in text_files(top) if p.suffix in {".h", ".cc", ".py", ".sh", ".go"})
    return [f"{p.relative_to(top)}: {lines} lines; is there a second thing in it?"
            for p, lines in lengths if lines > MAX_LINES]


def check_unfinished_marks(top: Path) -> list:
    found = []
    for path in text_files(top):
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if UNFINISHED.search(line):
                found.append(f"{path.relative_to(top)}:{number}: unfinished: {line.strip()[:80]}")
    return found


ALL = [check_module_order, check_includes, check_uv, check_heavy_headers, check_every_source_is_built,
       check_unit_tests_are_built, check_file_length, check_unfinished_marks]
