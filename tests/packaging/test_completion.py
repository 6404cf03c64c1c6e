"""bash and zsh complete penstock's command line with the files that are shipped."""

import os

import pytest

from command_line import commands, options
from conftest import BINARY, TOP
from shells import Bash, Zsh


@pytest.fixture(scope="module", params=[Bash, Zsh])
def shell(request, tmp_path_factory):
    """A shell that finds the binary as penstock."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "penstock").symlink_to(os.path.abspath(BINARY))
    shell = request.param({**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}, folder)
    yield shell
    shell.close()


@pytest.fixture
def offered(shell):
    return shell.offered


def test_each_command_is_offered(offered, penstock):
    assert offered("penstock ") == commands(penstock)


def test_what_is_begun_is_finished(offered, penstock):
    assert offered("penstock p") == {name for name in commands(penstock) if name.startswith("p")}


def test_each_option_of_each_command_is_offered(offered, penstock):
    for command in commands(penstock):
        long = {name for name in options(penstock, command) if name.startswith("--")}
        assert offered(f"penstock {command} --") == long
    assert "--version" in offered("penstock --")


@pytest.mark.parametrize("line, values", [
    ("penstock pools payments ", {"pause", "resume", "reconnect", "close-idle"}),
    ("penstock pools --admin 127.0.0.1:9 payments re", {"resume", "reconnect"}),
    ("penstock probe /", {"/readyz", "/livez"}),
    ("penstock env --format ", {"sh", "fish", "systemd", "compose", "kubernetes", "java"}),
    ("penstock -c x.yaml env --format k", {"kubernetes"}),
])
def test_values_are_offered_where_help_names_them(offered, line, values):
    assert offered(line) == values


def test_a_file_is_offered_for_the_configuration(offered):
    found, = offered(f"penstock check -c {TOP}/config/penstock.s")
    assert found.endswith("penstock.schema.json")


def test_behind_two_hyphens_it_is_the_commands_own_completion(offered):
    assert "mandoc" in offered("penstock doctor -- mandoc")


def test_nothing_is_offered_where_nothing_is_taken(offered):
    assert offered("penstock check ") == set() == offered("penstock pools payments pause ")
