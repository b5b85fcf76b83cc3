"""A program that has sweeps killed and resumed: ``killed_sweeps.py FOLDER MOMENT...``; no tests.

Every MOMENT counts the times that something was about to be flushed or renamed. A child process
runs the sweep and is ended there by SIGKILL; another one runs the same sweep to its end. Prints
one JSON object a line: the moment, whether the first was killed, and what the second computed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from imitated_sweeps import Imitation, imitated, module


def kill_at(moment: int) -> None:
    """End this process when it comes to the given call of `os.fsync` or `os.replace`."""
    calls = iter(range(moment + 1))

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            if next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return counting

    for name in ("fsync", "replace"):
        setattr(os, name, counted(getattr(os, name)))


def run(folder: Path, moment: int | None) -> tuple[int, list[Any]]:
    """Run the sweep in a child process; return how that ended and the chunks it computed."""
    reading, writing = os.pipe()
    child = os.fork()  # nothing has been computed yet, so that there are no threads to lose
    if child == 0:
        imitation = Imitation()
        vars(module)["compute_chunk"] = imitation
        if moment is not None:
            kill_at(moment)
        imitated(folder)
        os.write(writing, json.dumps(imitation.places).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        printed = pipe.read()
    return os.waitpid(child, 0)[1], json.loads(printed or "[]")


def main() -> None:
    folder, *moments = sys.argv[1:]
    for moment in moments:
        here = Path(folder) / moment
        killed, _ = run(here, int(moment))
        ended, places = run(here, None)
        fields = {"moment": moment, "killed": killed, "ended": ended, "places": places}
        print(json.dumps(fields), flush=True)


if __name__ == "__main__":
    main()
