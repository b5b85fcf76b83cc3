"""Memory of the exact loss with its gradient, against the number of features.

One model at a time, models of growing size in one process: its largest resident memory so far, and
what it had before, with all code loaded. Baseline, in another process: a plain batch of 10 000
inputs in float64 with autograd.

    python benchmarks/memory.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from features import random_model
from plain_loop import print_table
from plain_sampling import sample

from superposition.numerics import population_loss_and_grad

SIZES = [(20, 5), (100, 10), (400, 30), (1000, 100)]
DENSITY, DRAWS = 0.1, 10_000


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what a parent had before it started this program
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(peak.split()[1]) / 1e3
    peak_size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_size / (1e6 if sys.platform == "darwin" else 1e3)


def exact(n: int, m: int) -> None:
    population_loss_and_grad(*random_model(n, m), density=DENSITY, importance=np.ones(n))


def plain(n: int, m: int) -> None:
    W, b = (torch.tensor(part, requires_grad=True) for part in random_model(n, m))
    sample(W, b, DENSITY, DRAWS)


WAYS: dict[str, Callable[[int, int], None]] = {"exact": exact, "plain": plain}


def peaks(way: str, sizes: Sequence[tuple[int, int]]) -> list[float]:
    """Return the peak before the first model, and after each, of a new process."""
    command = [sys.executable, __file__, "--child", way, json.dumps(sizes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(line) for line in done.stdout.split()]


def child(way: str, sizes: Sequence[tuple[int, int]]) -> None:
    work = WAYS[way]
    work(8, 2)
    print(peak_megabytes())
    for n, m in sizes:
        work(n, m)
        print(peak_megabytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 100 features")
    parser.add_argument("--child", nargs=2, metavar=("WAY", "SIZES"), help="measure this process")
    options = parser.parse_args()
    if options.child:
        child(options.child[0], json.loads(options.child[1]))
        return
    sizes = SIZES[:2] if options.quick else SIZES
    found = {way: peaks(way, sizes) for way in WAYS}
    rows = [
        [f"({n}, {m})"]
        + [f"{found[way][k + 1] - found[way][0]:,.0f}" for way in WAYS]
        + [f"{found[way][k + 1]:,.0f}" for way in WAYS]
        for k, (n, m) in enumerate(sizes)
    ]
    before = ", ".join(f"{way} {found[way][0]:,.0f} MB" for way in WAYS)
    print(f"density {DENSITY}; MB; with all code loaded and no model: {before}")
    header = ["(n, m)", "exact", f"plain, {DRAWS} inputs", "exact, whole process", "plain"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
