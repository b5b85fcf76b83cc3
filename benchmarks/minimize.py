"""Minimizing: seconds per model of `descend` against a plain batched PyTorch training loop.

Both take every model of the (2, 1) grid, density 0.01 … 1 by relative importance 0.1 … 10, from one
random start. The plain loop is Adam at 1e-2, batch 64; its time for 6 000 steps is extrapolated
from the steps that are run, which cost the same each. The last column compares what the phase
diagram spends on a point: the random starts of its search against its trained replicas.

    python benchmarks/minimize.py [--quick]
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
from plain_loop import PlainLoop, core_counts, median_seconds, print_table

from superposition.numerics import descend, population_loss, random_starts
from superposition.validation.sweep import DEFAULT_REPLICAS as REPLICAS, DEFAULT_STARTS as STARTS

STEPS = 6000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a 16 × 16 grid and fewer steps")
    quick = parser.parse_args().quick
    side, timed_steps, repeats = (16, 20, 3) if quick else (48, 100, 5)
    grid = np.meshgrid(np.geomspace(0.01, 1, side), np.geomspace(0.1, 10, side), indexing="ij")
    density = grid[0].ravel()
    importance = np.stack([np.ones(side * side), grid[1].ravel()], axis=-1)
    W, b = random_starts(2, 1, count=side * side)

    found = descend(W, b, density=density, importance=importance)
    assert np.array_equal(
        found.loss, population_loss(found.W, found.b, density=density, importance=importance)
    )

    rows = []
    for cores in core_counts():

        def exact(cores: int = cores) -> object:
            return descend(W, b, density=density, importance=importance, workers=cores)

        seconds_exact = median_seconds(exact, repeats) / density.size
        torch.manual_seed(0)
        torch.set_num_threads(cores)
        loop = PlainLoop(1, density, importance)
        seconds_plain = median_seconds(partial(loop.run, timed_steps), repeats)
        seconds_plain *= STEPS / timed_steps / density.size
        rows.append(
            [str(cores), f"{seconds_exact:.2e} s", f"{seconds_plain:.2e} s",
             f"{seconds_plain / seconds_exact:,.0f}",
             f"{seconds_plain * REPLICAS / (seconds_exact * STARTS):,.0f}"]
        )  # fmt: skip

    print(
        f"torch {torch.__version__}; {side} × {side} models, one start each; descend: "
        f"{found.converged.mean():.1%} converged, {found.evaluations.mean():.0f} evaluations a "
        f"model; plain loop: {STEPS} steps, extrapolated from {timed_steps}"
    )
    per_point = f"{STARTS} starts against {REPLICAS} replicas"
    print_table(["cores", "descend, per model", "plain loop, per model", "ratio", per_point], rows)


if __name__ == "__main__":
    main()
