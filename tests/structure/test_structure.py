"""The tree keeps its own rules, and each rule catches a violation planted into a copy of the tree."""

import shutil
from pathlib import Path

import pytest

import checks

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("check", checks.ALL, ids=lambda check: check.__name__)
def test_the_tree_keeps_the_rule(check):
    assert check(TOP) == []


@pytest.fixture
def copy(tmp_path):
    for part in ("daemon", "tests/unit"):
        shutil.copytree(TOP / part, tmp_path / part)
    return tmp_path


def write(top, path, text):
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(text)


PLANTED = [
    ("an include upwards", checks.check_includes, "daemon/base/planted.h", '#include "net/stream.h"\n',
     "base does not use net"),
    ("a folder that is no module", checks.check_includes, "daemon/misc/planted.h", "", "in no module's folder"),
    ("an include of nothing", checks.check_includes, "daemon/base/planted.h", '#include "base/nowhere.h"\n',
     "which daemon/ does not hold"),
    ("uv.h outside event and net", checks.check_uv, "daemon/http/planted.cc", "#include <uv.h>\n", "uv.h belongs"),
    ("a source in no target", checks.check_every_source_is_built, "daemon/base/planted.cc", "", "in no CMake target"),
    ("a header nobody includes", checks.check_every_source_is_built, "daemon/base/planted.h", "",
     "included by nothing"),
    ("a unit test in no target", checks.check_unit_tests_are_built, "tests/unit/base/planted_test.cc", "",
     "never runs"),
    ("a long file", checks.check_file_length, "daemon/base/planted.cc", "\n" * 601, "601 lines"),
    ("an unfinished mark", checks.check_unfinished_marks, "daemon/base/planted.cc", "// TO" "DO: later\n",
     "unfinished"),
]


@pytest.mark.parametrize("check, path, text, complaint", [p[1:] for p in PLANTED], ids=[p[0] for p in PLANTED])
def test_a_planted_violation_is_caught(copy, check, path, text, complaint):
    before = check(copy)
    write(copy, path, text)
    new = [line for line in check(copy) if line not in before]
    assert len(new) == 1 and complaint in new[0] and "planted" in new[0]


def test_a_module_that_uses_one_above_it_is_caught(copy):
    write(copy, "daemon/base/CMakeLists.txt", "penstock_module(base SOURCES error.cc USES proxy)\n")
    assert any("uses proxy, which stands above it" in line for line in checks.check_module_order(copy))


def test_a_heavy_header_in_three_units_is_caught_through_our_own_headers_too(copy):
    write(copy, "daemon/base/planted.h", "#include <nlohmann/json.hpp>\n")
    for name in ("one", "two", "three"):
        write(copy, f"daemon/base/{name}.cc", '#include "base/planted.h"\n')
    found = [line for line in checks.check_heavy_headers(copy) if line.startswith("nlohmann-json")]
    assert found and all(f"daemon/base/{name}.cc" in found[0] for name in ("one", "two", "three"))
