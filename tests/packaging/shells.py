"""bash and zsh, to ask what they offer for a command line that ends where Tab is pressed."""

import os
import pty
import select
import shlex
import subprocess
import termios
import time

from conftest import TIMEOUT_SECONDS, TOP, run
from daemon import wait_until

FOLDER = TOP / "deploy/completion"

# Calls what `complete` has bound to the command, as readline does.
BASH = f"""
. /usr/share/bash-completion/bash_completion
. {FOLDER / "penstock.bash"}
compopt() {{ :; }}  # says how readline should insert; there is none
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*"
COMP_POINT=${{#COMP_LINE}}
function=$(complete -p "$1" | sed 's/.* -F \\([^ ]*\\) .*/\\1/')
"$function" "$1" "${{@: -1}}" "${{@: -2:1}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

# Completes on its terminal; what a completion function adds goes to $ANSWERS too.
ZSH = f"""
PS1= PS2= RPS1= LISTMAX=0
fpath=({FOLDER} $fpath)
autoload -Uz compinit && compinit -u -D
bindkey '^I' list-choices
compadd() {{
  if [[ "$*" != *-[AOD]\\ * ]] {{ local -a hits; builtin compadd -O hits "$@"; print -rl -- $hits >>$ANSWERS }}
  builtin compadd "$@"
}}
"""
EMPTY_LINE = "\x15"


class Bash:
    def __init__(self, environment, folder):
        del folder
        self.environment = environment

    def offered(self, line):
        words = shlex.split(line) + ([""] if line.endswith(" ") else [])
        return set(run("bash", "-c", BASH, "bash", *words, env=self.environment).stdout.split())

    def close(self):
        pass


class Zsh:
    def __init__(self, environment, folder):
        self.answers = folder / "answers"
        self.answers.touch()
        (folder / ".zshrc").write_text(ZSH)
        self.terminal, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["zsh", "-i"], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**environment, "TERM": "dumb", "ZDOTDIR": str(folder), "ANSWERS": str(self.answers)})
        os.close(slave)
        self._to_the_end()

    def offered(self, line):
        self.answers.write_text("")
        wait_until(self._reads_keys, "zsh edits its line: until then the terminal does, to which the empty line is a key too")
        os.write(self.terminal, f"{line}\t".encode())
        return self._to_the_end()

    def _reads_keys(self):
        return not termios.tcgetattr(self.terminal)[3] & termios.ICANON

    def _to_the_end(self):
        """What is in the answers when the shell has done all that it was told before."""
        os.write(self.terminal, f"{EMPTY_LINE}echo the end >>$ANSWERS\n".encode())
        end = time.monotonic() + TIMEOUT_SECONDS
        while "the end" not in self.answers.read_text():
            assert time.monotonic() < end and self.process.poll() is None, "zsh does not answer"
            if select.select([self.terminal], [], [], 0.05)[0]:
                os.read(self.terminal, 65536)
        return set(self.answers.read_text().split()) - {"the", "end"}

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)
