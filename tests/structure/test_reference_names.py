"""Every name of the tests that we mirror stands beside a test of ours, and no name of what is not built does."""

import re
from pathlib import Path

import pytest

import reference_names as names

TESTS = Path(__file__).resolve().parents[1]
FOLDERS = ("integration", "unit")


def text_of(top):
    return "\n".join(path.read_text(errors="replace") for folder in FOLDERS for path in sorted((top / folder).rglob("*"))
                     if path.suffix in {".py", ".cc"})


def stands_in(text, name, project=""):
    """As a word of its own (TestIs408 is not shown by TestIs4080), in the same comment or docstring as its project."""
    before = rf'{project}: [^"=]{{0,300}}?' if project else ""
    return re.search(rf"{before}(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None


@pytest.fixture(scope="module")
def text():
    return text_of(TESTS)


def test_every_name_of_what_is_built_stands_beside_a_test(text):
    assert [(project, name) for project, known in names.SHOWN.items() for name in known
            if not stands_in(text, name, project)] == []


def test_what_is_left_out_has_a_reason_and_no_test(text):
    assert all(names.LEFT_OUT.values())
    assert [name for name in names.LEFT_OUT if stands_in(text, name)] == []


def test_no_name_is_listed_twice():
    listed = sum(names.SHOWN.values(), list(names.LEFT_OUT))
    assert len(listed) == len(set(listed))


def test_a_longer_name_does_not_stand_for_a_shorter_one(tmp_path):
    (tmp_path / "integration").mkdir()
    (tmp_path / "integration/test_planted.py").write_text("# Go: TestTransportProxyConnectHeader, http_reuse_never_x\n")
    planted = text_of(tmp_path)
    assert stands_in(planted, "TestTransportProxyConnectHeader")
    assert not stands_in(planted, "TestTransportProxy") and not stands_in(planted, "http_reuse_never")


def test_a_word_of_another_project_or_of_the_code_does_not_stand_for_a_name(tmp_path):
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit/planted_test.cc").write_text('// HAProxy: websocket.\nauto x = "y";  // truncated\n')
    planted = text_of(tmp_path)
    assert stands_in(planted, "websocket", "HAProxy") and not stands_in(planted, "websocket", "ATS")
    assert stands_in(planted, "truncated") and not stands_in(planted, "truncated", "HAProxy")
