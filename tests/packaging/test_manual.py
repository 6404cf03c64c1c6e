"""The manual pages: two readers of them find no fault, and penstock(8) has each command, option, signal
and exit code of the program and none besides. (That penstock.yaml(5) has each key is held by config_test.)"""

import os
import re

import pytest

from command_line import commands, options
from conftest import TOP, run

PAGES = (TOP / "deploy/man/penstock.8", TOP / "deploy/man/penstock.yaml.5")
MANUAL = PAGES[0]
# The pages of other packages, which need not be installed.
OF_OTHERS = re.compile(r"referenced manual not found|outdated mandoc.db")


def faults_of_mandoc(path):
    done = run("mandoc", "-Tlint", "-Wall", path)
    return [line for line in done.stdout.splitlines() + done.stderr.splitlines() if not OF_OTHERS.search(line)]


def faults_of_groff(path):
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""}
    return run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path, env=environment).stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_page_has_no_fault(page):
    assert (faults_of_mandoc(page), faults_of_groff(page)) == ([], "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_planted_fault_is_found(page, tmp_path):
    faulty = tmp_path / page.name
    faulty.write_text(page.read_text() + ".Zz planted\n")
    assert faults_of_mandoc(faulty)


def section(name):
    """What the page says under a heading, as mdoc(7)."""
    return re.search(rf"^\.Sh {name}\n(.*?)^\.Sh ", MANUAL.read_text(), re.MULTILINE | re.DOTALL).group(1)


def items(name, macro):
    """The first words of the items of a section's outermost list or, with Fl, of all of its lists."""
    found = re.findall(rf"^\.It {macro} (\S+)", section(name), re.MULTILINE)
    return {word.replace("\\-", "-") for word in found}


def test_it_has_each_command(penstock):
    named = items("COMMANDS", "Cm")
    assert commands(penstock) <= named, "add the missing ones to COMMANDS and SYNOPSIS of deploy/man/penstock.8"
    synopsis = set(re.findall(r"^\.(?:Op )?Cm (\S+)", section("SYNOPSIS"), re.MULTILINE))
    assert synopsis == commands(penstock)


def test_it_has_each_option(penstock):
    of_program = set(options(penstock)).union(*(options(penstock, command) for command in commands(penstock)))
    text = section("COMMANDS") + section("OPTIONS")
    named = {"-" + word.replace("\\-", "-") for word in re.findall(r"\bFl (\S+)", text)} - {"--"}
    assert named == of_program, "COMMANDS and OPTIONS of deploy/man/penstock.8 are to say the same as --help"


def test_it_has_each_exit_code():
    codes = re.findall(r"^ +kExit\w+ = (\d+)", (TOP / "daemon/server/exit_code.h").read_text(), re.MULTILINE)
    assert set(re.findall(r"^\.It (\d+)", section("EXIT STATUS"), re.MULTILINE)) == set(codes) and len(codes) >= 5


def test_it_has_each_signal():
    handled = re.findall(r"\bSIG(?:HUP|TERM|INT|QUIT|USR1|USR2|WINCH)\b",
                         "".join(path.read_text() for path in (TOP / "daemon/server").glob("daemon*.cc")))
    named = set(re.findall(r"Dv (SIG\w+)", section("SIGNALS")))
    assert named == set(handled) and len(named) >= 4
