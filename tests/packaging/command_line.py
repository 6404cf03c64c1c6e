"""What the program's --help says there is."""

import re


def names(text, heading):
    """The first words of the lines below a heading of --help: "-c,--config" gives both."""
    found = re.search(rf"^{heading}:\n((?: .*\n)*)", text, re.MULTILINE)
    lines = re.findall(r"^  (\S+)", found.group(1), re.MULTILINE) if found else []
    return [name for line in lines for name in line.split(",")]


def commands(penstock):
    found = set(names(penstock("--help").stdout, "Subcommands"))
    assert len(found) >= 9
    return found


def options(penstock, *command):
    found = set(names(penstock(*command, "--help").stdout, "Options"))
    assert "--help" in found
    return found
