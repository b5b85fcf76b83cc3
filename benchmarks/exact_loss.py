"""Exact loss with gradient: evaluations per second on one core, and sampling at equal accuracy.

Sampling is timed on a batch with autograd, on one core too. Its relative standard error falls as
1/√draws, so what it needs for a given accuracy is extrapolated from what was measured; in float64,
as float32 rounding ends at 1e-7.

    python benchmarks/exact_loss.py [--quick]
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from plain_loop import median_seconds, plain_loss, print_table

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
    models = 200 if quick else 2000
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
    draws = 20_000 if quick else 200_000
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows = []
    for n, m in SIZES:
        models = max(1, (20_000 if quick else 200_000) * 4 // 4**n)
        W = rng.standard_normal((models, m, n)) / np.sqrt(m)
        b = rng.normal(scale=0.2, size=(models, n))
        importance = np.ones(n)

        def exact(W: object = W, b: object = b, importance: object = importance) -> object:
            return population_loss_and_grad(W, b, density=DENSITY, importance=importance)

        seconds_exact = median_seconds(exact, repeats) / models

        few = min(models, 8)
        weights = torch.tensor(W[:few], requires_grad=True)
        biases = torch.tensor(b[:few], requires_grad=True)
        unit = torch.ones(few, n, dtype=torch.float64)
        errors: list[float] = []

        def sample(
            weights: torch.Tensor = weights,
            biases: torch.Tensor = biases,
            unit: torch.Tensor = unit,
            n: int = n,
            few: int = few,
            errors: list[float] = errors,
        ) -> None:
            shape = (few, draws // few, n)
            x = torch.rand(shape, dtype=torch.float64) * (torch.rand(shape) < DENSITY)
            losses = plain_loss(x, weights, biases, unit)
            torch.autograd.backward(losses.mean(dim=1).sum())
            with torch.no_grad():
                relative = losses.std(dim=1) / losses.mean(dim=1)
            errors.append(float(relative.mean()))

        seconds_draw = median_seconds(sample, repeats) / (draws // few * few)
        spread = float(np.mean(errors))
        cells = [f"({n}, {m})", f"{1 / seconds_exact:,.0f}", f"{1 / seconds_draw:,.0f}"]
        for target in TARGETS:
            needed = (spread / target) ** 2
            seconds = needed * seconds_draw
            cells += [f"{seconds:.1e} s", f"{seconds / seconds_exact:.1e}"]
        rows.append(cells)
    print(
        f"one core, torch {torch.__version__}; density {DENSITY}, random W; "
        "the exact loss has an error of about 1e-15"
    )
    header = ["(n, m)", "exact/s", "draws/s"]
    for target in TARGETS:
        header += [f"sampling to {target:.0e}", "ratio"]
    print_table(header, rows)
    print()
    distributions_table(quick)


if __name__ == "__main__":
    main()
