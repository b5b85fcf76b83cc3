"""Run the commands that README.md promises, so that they cannot rot.

The contract:

- Every fenced block of the language ``bash`` has an HTML comment before it (blank lines between
  the two are allowed) that says what becomes of it:
  ``<!-- ci: run -->``            the block is run;
  ``<!-- ci: run in VENV -->``    it is run with VENV/bin first on the PATH, as in an activated
                                  environment; VENV is relative to the directory of the run;
  ``<!-- ci: skip: REASON -->``   it is not run.
- A block is one script for ``bash -euo pipefail``, run in the given directory without input.
  Blocks are run in the order of the file; the first that fails ends the run with its exit status.
- An environment is made with ``-m venv VENV`` in a block. Blocks of different environments do not
  depend on each other: those of one can be run beside those of all others, by --only and --except.
- A block without a comment, a comment without a block, a comment of another form, and a file
  without a block to run are errors: exit status 2, nothing is run.

    python3 .ci/readme_commands.py README.md                    # print what would be run
    python3 .ci/readme_commands.py README.md --run DIRECTORY    # run it
    python3 .ci/readme_commands.py README.md --run DIRECTORY --only .venv-test
    python3 .ci/readme_commands.py README.md --run DIRECTORY --except .venv-test
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

MARK = re.compile(r"<!--\s*ci:\s*(?P<order>.*?)\s*-->")
ORDER = re.compile(r"run(?: in (?P<venv>\S+))?|skip: \S.*")
MAKES = re.compile(r"-m venv (?P<venv>[^\s;&|]+)")
FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})\s*(?P<language>\w*)")


class Block(NamedTuple):
    """One script, and the environment whose commands it sees."""

    line: int
    script: str
    venv: str | None

    def belongs_to(self, venv: str) -> bool:
        """Whether it makes this environment or is run in it."""
        made = MAKES.search(self.script)
        return venv == (made["venv"] if made else self.venv)


def blocks_to_run(text: str) -> list[Block]:
    """Return the blocks to run, or raise ValueError with the line that breaks the contract."""
    blocks: list[Block] = []
    mark: tuple[int, str] | None = None
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        fence = FENCE.fullmatch(line.strip())
        found = MARK.fullmatch(line.strip())
        if fence:
            body = []
            for _, inner in lines:
                if inner.strip() == fence["fence"]:
                    break
                body.append(inner)
            else:
                raise ValueError(f"line {number}: the block does not end")
            if fence["language"] == "bash":
                if mark is None:
                    raise ValueError(f"line {number}: a bash block without <!-- ci: ... -->")
                order = ORDER.fullmatch(mark[1])
                if order is None:
                    raise ValueError(f"line {mark[0]}: not an order: {mark[1]!r}")
                if mark[1].startswith("run"):
                    blocks.append(Block(number, "\n".join(body), order["venv"]))
                mark = None
        elif found:
            if mark:
                break
            mark = number, found["order"]
            continue
        if mark and line.strip():
            break
    if mark:
        raise ValueError(f"line {mark[0]}: <!-- ci: ... --> without a bash block after it")
    if not blocks:
        raise ValueError("there is no block to run")
    return blocks


def selected(blocks: list[Block], only: str | None, but: str | None) -> list[Block]:
    """Return the blocks of one environment, or those of all others; there has to be one."""
    kept = [
        block
        for block in blocks
        if (only is None or block.belongs_to(only)) and (but is None or not block.belongs_to(but))
    ]
    if not kept:
        raise ValueError(f"there is no block to run with --only {only} --except {but}")
    return kept


def run(block: Block, directory: Path) -> int:
    """Run one block and return its exit status."""
    environment = dict(os.environ)
    if block.venv:
        folder = directory / block.venv
        environment["VIRTUAL_ENV"] = str(folder)
        environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    start = time.monotonic()
    status = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", block.script],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    print(f"README line {block.line}: {time.monotonic() - start:.0f} s, exit status {status}")
    return status


def main() -> int:
    """Print or run the marked blocks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("readme", type=Path)
    parser.add_argument("--run", type=Path, metavar="DIRECTORY", help="run the blocks there")
    parser.add_argument("--only", metavar="VENV", help="the blocks of this environment")
    parser.add_argument("--except", dest="but", metavar="VENV", help="the blocks of all others")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        blocks = blocks_to_run(arguments.readme.read_text(encoding="utf-8"))
        blocks = selected(blocks, arguments.only, arguments.but)
    except (OSError, ValueError) as error:
        print(f"{arguments.readme}: {error}", file=sys.stderr)
        return 2
    for block in blocks:
        if arguments.run is None:
            print(f"# line {block.line}" + (f", in {block.venv}" if block.venv else ""))
            print(block.script)
        elif status := run(block, arguments.run.resolve()):
            return status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
