"""Exact loss and gradient against the number of features, n = 2 … 1000; ten for every dimension.

Random weights and biases, importances 1. Baselines: sampling with autograd, extrapolated to the
same relative error, and the recurrence in closed form while it runs, whose cost grows like 3^n.
Times are processor seconds, on all cores together, so that other work on the machine does not
count; wall time is given for the loss with its gradient, of which large models use all cores.

    python benchmarks/features.py [--quick]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plain_loop import Clocked, clocked, print_table
from plain_sampling import Sampling, sampling
from routes import RECURRENCE, closed_up_to

from superposition.numerics import population_loss, population_loss_and_grad

Floats = NDArray[np.float64]

FEATURES = (2, 3, 5, 7, 8, 10, 20, 50, 100, 200, 400, 1000)
DENSITIES = (0.01, 0.1, 1.0)
RTOL = 1e-9


@dataclass(frozen=True)
class Cost:
    """What the exact loss of one model costs.

    Attributes
    ----------
    loss, gradient : Clocked
        Seconds of the loss alone, and with its gradient.
    bound : float
        On the error of the loss, relative to the loss.
    recurrence : float, optional
        Processor seconds of the recurrence, with the gradient.
    sampling : Sampling
    """

    loss: Clocked
    gradient: Clocked
    bound: float
    recurrence: float | None
    sampling: Sampling

    @property
    def ratio(self) -> float:
        """Processor seconds of sampling to the same error, over those of the exact loss."""
        return self.sampling.seconds_to(RTOL) / self.gradient.processor


def random_model(n: int, m: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return weights with columns of about length 1, and small biases."""
    rng = np.random.default_rng([seed, n, m])
    return rng.normal(size=(m, n)) / np.sqrt(m), rng.normal(scale=0.1, size=n)


def compile_all() -> None:
    """Call every kernel once, so that no time counts its compilation."""
    for n in (2, 5, 8):
        arguments: dict[str, Any] = {"density": 0.1, "importance": np.ones(n)}
        population_loss(*random_model(n, 2), **arguments)
        population_loss_and_grad(*random_model(n, 2), **arguments)


def measure(n: int, m: int, density: float, enough: float = 0.3) -> Cost:
    """Time one model."""
    W, b = random_model(n, m)
    arguments: dict[str, Any] = {"density": density, "importance": np.ones(n), "rtol": RTOL}
    gradient = partial(population_loss_and_grad, W, b, **arguments)
    at = gradient()
    recurrence = None
    if 3 < n <= RECURRENCE:
        with closed_up_to(RECURRENCE):
            recurrence = clocked(gradient, enough).processor
    return Cost(
        clocked(partial(population_loss, W, b, **arguments), enough),
        clocked(gradient, enough),
        float(at.error / at.loss),
        recurrence,
        sampling(W, b, density, enough),
    )


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:,.3g}"


def cells(cost: Cost) -> list[str]:
    """Return a row of the table, without its first columns."""
    return [
        milliseconds(cost.loss.processor),
        milliseconds(cost.gradient.processor),
        milliseconds(cost.gradient.wall),
        f"{cost.bound:.0e}",
        f"{cost.sampling.seconds_to(RTOL):.1e} s",
        f"{cost.ratio:.0e}",
        f"{cost.sampling.error_after(cost.gradient.processor):.0e}",
    ]


HEADER = ["loss, ms", "with gradient", "wall", "bound", f"sampling to {RTOL:g}", "ratio"]
HEADER += ["in the same time"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 100 features")
    quick = parser.parse_args().quick
    sizes, enough = (FEATURES[1:9:2], 0.05) if quick else (FEATURES, 0.3)
    compile_all()
    rows = []
    for density in DENSITIES:
        for n in sizes:
            m = max(1, n // 10)
            cost = measure(n, m, density, enough)
            rows.append([f"({n}, {m})", f"{density:g}", *cells(cost)])
            rows[-1].append(milliseconds(cost.recurrence))
    print(f"errors relative to the loss; rtol = {RTOL:g}")
    print_table(["(n, m)", "density", *HEADER, "recurrence, ms"], rows)


if __name__ == "__main__":
    main()
