"""The exact phase diagram of (2, 1) on a fine grid: refined where phases meet, or all of it.

The baseline is the search that anyone would write: the same compiled descent from random starts at
every point of the grid. It is run on random points and extrapolated, or with --brute-force on all of
them, and its phases are compared with those of the refined diagram.

    python benchmarks/diagram.py [--quick] [--brute-force]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from memory import peak_megabytes
from plain_loop import print_table

from superposition.validation.exact.diagram import check_points, exact_phase_diagram

STARTS = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="a 120 × 120 grid, 500 points compared"
    )
    parser.add_argument("--brute-force", action="store_true", help="compare all points")
    options = parser.parse_args()
    side, compared = (120, 500) if options.quick else (1000, 20_000)
    axes: dict[str, Any] = {
        "density": np.linspace(1 / side, 1, side),
        "importance": np.geomspace(0.1, 10, side),
    }

    coarse = np.linspace(0.2, 0.8, 9)
    warm = exact_phase_diagram(density=coarse, importance=coarse, spacing=4)  # compile
    check_points(warm, np.zeros((1, 2), dtype=np.int64), starts=STARTS)
    wall, cpu = time.perf_counter(), time.process_time()
    diagram = exact_phase_diagram(**axes)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    points = np.stack(np.unravel_index(np.arange(side * side), (side, side)), axis=-1)
    if not options.brute_force:
        points = np.random.default_rng(0).permutation(points)[:compared]
    brute = time.process_time()
    disagreements = lower = 0
    for part in np.array_split(points, max(1, len(points) // 20_000)):
        check = check_points(diagram, part, starts=STARTS)
        disagreements += len(check.disagreements)
        lower += len(check.lower)
    brute = (time.process_time() - brute) / len(points) * side * side

    evaluated = int(diagram.evaluated.sum())
    rows = [
        ["refined", f"{wall:.1f} s", f"{cpu:.1f} s", f"{evaluated:,}", "1"],
        [
            f"{STARTS} starts everywhere",
            "",
            f"{brute:,.0f} s",
            f"{side * side:,}",
            f"{brute / cpu:,.0f}",
        ],
    ]
    print(f"{side} × {side} points; peak memory {peak_megabytes():,.0f} MB")
    print_table(["", "wall", "processor", "points evaluated", "ratio"], rows)
    print(
        f"{diagram.evaluations / evaluated:.0f} losses with derivatives at an evaluated point, "
        f"{diagram.evaluations / side**2:.2f} at a point of the grid"
    )
    print(
        f"{len(points):,} points searched independently: {disagreements} disagree in phase, "
        f"{lower} have a lower loss than the diagram states"
    )
    for r, s in zip(diagram.triple_importance.values, diagram.triple_density.values, strict=True):
        print(f"triple point at r = {r:.8f}, s = {s:.8f}")


if __name__ == "__main__":
    main()
