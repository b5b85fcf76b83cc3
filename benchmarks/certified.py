"""Certified minima: seconds and boxes per certificate, against the search that proves nothing.

The search is `global_minimum` with its default number of starts. The second table certifies the
phases of the plane, density 0.04 … 1 by relative importance 0.1 … 1, on the cells of a quadtree.

    python benchmarks/certified.py [--quick] [--depth DEPTH]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from plain_loop import median_seconds, print_table

from superposition.numerics import global_minimum
from superposition.numerics.minima.certified import CellCertificate, certified_minimum, certify_cell
from superposition.validation.phases import BALANCED, REPRESENTED

Range = tuple[float, float]
Cell = tuple[Range, Range, CellCertificate]

PHASES = {
    "ignore last": [(-REPRESENTED, REPRESENTED)],
    "superpose both": [(-1 / BALANCED, -BALANCED)],
    "partial superposition": [(-BALANCED, -REPRESENTED), (-1 / REPRESENTED, -1 / BALANCED)],
}
MODELS = {
    "sparse pair": (0.05, 1.0, 0.0),
    "pair": (0.3, 0.5, 0.0),
    "pair, hardest": (0.5, 1.0, 0.0),
    "partial": (0.8, 1.0, 0.0),
    "dedicated": (0.9, 0.2, 0.0),
    "triple point": (0.51173803211760022659, 0.56413136534766603230, 0.0),
    "penalty": (0.3, 1.0, 0.1),
}


def halves(ends: Range) -> tuple[Range, Range]:
    middle = sum(ends) / 2
    return (ends[0], middle), (middle, ends[1])


def cells(density: Range, importance: Range, depth: int) -> Iterator[Cell]:
    cell = certify_cell(density=density, importance=[1, importance], phases=PHASES)
    if cell.certified or depth == 0:
        yield density, importance, cell
        return
    for first in halves(density):
        for second in halves(importance):
            yield from cells(first, second, depth - 1)


def area(some: list[Cell]) -> float:
    return sum((high - low) * (right - left) for (low, high), (left, right), _ in some)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats, and larger cells")
    parser.add_argument("--depth", type=int, default=4, help="how often cells are cut in four")
    arguments = parser.parse_args()
    repeats, depth = (1, 1) if arguments.quick else (5, arguments.depth)

    rows = []
    for name, (density, relative, penalty) in MODELS.items():

        def search(s: float = density, r: float = relative, lam: float = penalty) -> object:
            return global_minimum(2, 1, density=s, importance=[1, r], penalty=lam)

        def certify(s: float = density, r: float = relative, lam: float = penalty) -> object:
            return certified_minimum(density=s, importance=[1, r], penalty=lam)

        found = certified_minimum(density=density, importance=[1, relative], penalty=penalty)
        seconds, searching = median_seconds(certify, repeats), median_seconds(search, repeats)
        rows.append(
            [name, f"{seconds:.3f} s", f"{found.boxes:,}", f"{found.gap:.0e}",
             str(found.certified), str(found.unique), f"{seconds / searching:.1f}"]
        )  # fmt: skip
    header = ["model", "seconds", "boxes", "relative gap", "certified", "unique", "over a search"]
    print_table(header, rows)

    started = time.perf_counter()
    all_cells = list(cells((0.04, 1.0), (0.1, 1.0), depth))
    seconds = time.perf_counter() - started
    proved = [entry for entry in all_cells if entry[2].certified]
    print(
        f"\ndepth {depth}: phase proved on {area(proved) / area(all_cells):.1%} of the area, "
        f"{len(proved)} of {len(all_cells)} cells, "
        f"{sum(entry[2].boxes for entry in all_cells):,} boxes, {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
