"""Every time limit against what it is for, on real sockets: a table of what each ends, when, and how.

Beside penstock the same obstacle meets Go's http.Transport and HAProxy, with the limit of theirs that is
meant for it, where there is one. Exit 1 when penstock does otherwise than design says: wrong status,
token, phase or key, too early, or more than half a second late.
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from phase_cases import CASES, LIMIT, PATIENCE  # noqa: E402
from phase_subjects import Go, HAProxy, Penstock  # noqa: E402
from support.ca import CertificateAuthority  # noqa: E402
from support.penstock import BINARY  # noqa: E402
from support.stack import Stack  # noqa: E402

HEAD = (f"limit, {LIMIT:g} s each", "what stands in the way", "penstock: after", "status, token", "phase, key",
        "Go 1.19 `http.Transport`", "HAProxy 2.6")


def against(subject, case, folder, ca):
    """One subject before an obstacle of its own."""
    stack = Stack(folder / subject.name, ca)
    try:
        return subject.run(case, stack, case.stage(stack))
    finally:
        stack.close()


def of_another(limit, outcome):
    """A cell: the limit's name there, and what came of it."""
    if outcome is None:
        return "a server's matter"
    what = f"{outcome.seconds:.2f} s, {outcome.text}" if outcome.seconds else f"still waiting after {PATIENCE:g} s"
    return f"{limit[0]}: {what}" if limit and limit[0] else f"no such limit: {what}"


def row(case, penstock, go, haproxy):
    outcome, told, _ = penstock
    status, token, phase, key = told or (outcome.text, "-", None, case.key)
    after = f"{outcome.seconds:.3f} s" if outcome.seconds else "never"
    return (f"`{case.key}`", case.hindrance, after, f"{status} {token}", f"{phase or '-'}, `{key}`",
            of_another(case.go, go), of_another(case.haproxy, haproxy))


def run(case, subjects, folder, ca):
    with ThreadPoolExecutor(len(subjects)) as threads:
        penstock, go, haproxy = threads.map(lambda subject: against(subject, case, folder, ca), subjects)
    return row(case, penstock, go, haproxy), penstock[2]


def markdown(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="a limit's key; may be given again")
    options = parser.parse_args()
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"no binary at {BINARY}: build it (cmake --build --preset release), or set PENSTOCK_BIN")
    wrong = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ca = CertificateAuthority(folder / "ca")
        ca.issue("api.test")  # before threads ask for it at once
        subjects = (Penstock(), Go(folder), HAProxy())
        print(markdown(HEAD), markdown(["---"] * len(HEAD)), sep="\n")
        for case in CASES:
            if options.only and case.key not in options.only:
                continue
            cells, faults = run(case, subjects, folder / case.key, ca)
            print(markdown(cells), flush=True)
            if faults:
                wrong[case.key] = faults
    for key, faults in wrong.items():
        print(f"{key}: " + "; ".join(faults), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
