"""Exact loss with gradient: evaluations per second on one core, and sampling at equal accuracy.

Sampling is timed on a batch with autograd, on one core too. Its relative standard error falls as
1/√draws, so what it needs for a given accuracy is extrapolated from what was measured; in float64,
as float32 rounding ends at 1e-7.

    python benchmarks/exact_loss.py [--quick]
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
from plain_loop import median_seconds, print_table
from plain_sampling import sampling

from superposition import Anticorrelated, CoActive, Independent, OneHot, ValueDistribution
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss_and_grad

SIZES = [(2, 1), (3, 2), (4, 2), (5, 2), (8, 3)]
TARGETS = (1e-6, 1e-9)
DENSITY = 0.3

FEATURES = {
    "independent, uniform": Independent(),
    "all on together": CoActive(),
    "two exclusive pairs": Anticorrelated([(0, 1), (2, 3)]),
    "exactly one on": OneHot(),
    "independent, density 2u": Independent(ValueDistribution([0, 2])),
    "independent, uniform on [-1, 1]": Independent(ValueDistribution([1], symmetric=True)),
}


def distributions_table(quick: bool) -> None:
    """Print what the loss costs for other features, five of them in two dimensions."""
    rng = np.random.default_rng(0)
    models = 20 if quick else 200
    W, b = rng.standard_normal((models, 2, 5)) / np.sqrt(2), rng.normal(scale=0.2, size=(models, 5))
    rows = []
    for name, features in FEATURES.items():

        def exact(features: FeatureDistribution = features) -> object:
            return population_loss_and_grad(
                W, b, density=0.2, importance=np.ones(5), features=features
            )

        rows.append([name, f"{models / median_seconds(exact, 3 if quick else 7):,.0f}"])
    print_table(["(5, 2), density 0.2", "exact/s"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    quick = parser.parse_args().quick
    repeats = 3 if quick else 7
    rng = np.random.default_rng(0)
    rows = []
    for n, m in SIZES:
        models = max(1, (20_000 if quick else 200_000) * 4 // 4**n)
        W = rng.standard_normal((models, m, n)) / np.sqrt(m)
        b = rng.normal(scale=0.2, size=(models, n))
        exact = partial(population_loss_and_grad, W, b, density=DENSITY, importance=np.ones(n))
        seconds = median_seconds(exact, repeats) / models
        plain = sampling(W[0], b[0], DENSITY, 0.05 if quick else 0.3)
        cells = [f"({n}, {m})", f"{1 / seconds:,.0f}", f"{1 / plain.seconds:,.0f}"]
        for target in TARGETS:
            needed = plain.seconds_to(target)
            cells += [f"{needed:.1e} s", f"{needed / seconds:.1e}"]
        rows.append(cells)
    print(
        f"one core, torch {torch.__version__}; density {DENSITY}, random W; "
        "the exact loss has an error of about 1e-15, at (8, 3) of less than 1e-9"
    )
    header = ["(n, m)", "exact/s", "draws/s"]
    for target in TARGETS:
        header += [f"sampling to {target:.0e}", "ratio"]
    print_table(header, rows)
    print()
    distributions_table(quick)


if __name__ == "__main__":
    main()
