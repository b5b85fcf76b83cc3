"""Exact loss and gradient against the accuracy that is asked for, rtol = 1e-3 … 1e-13.

Time, nodes of the sums, the bound that is returned, and the true error: against the recurrence for
seven features, which would not take sums by themselves, and against the least `rtol` for more.
Baseline: sampling with autograd, its standard error in the same time, and its time to the bound.
Errors are relative to the loss, times are processor seconds, on all cores together.

    python benchmarks/accuracy.py [--quick]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from features import compile_all, milliseconds, random_model
from plain_loop import Clocked, clocked, print_table
from plain_sampling import Sampling, sampling
from routes import RECURRENCE, closed_up_to, with_nodes

from superposition.numerics import LossAndGradient, population_loss_and_grad

DENSITIES = (0.01, 0.1, 1.0)
CASES = [(*size, density) for size in ((7, 2), (20, 5)) for density in DENSITIES]
CASES += [(100, 10, 0.1)]
QUICK_CASES = CASES[1:6:3]
TOLERANCES: tuple[float, ...] = tuple(10.0**-k for k in range(3, 14))
LEAST_RTOL = 1e-14


@dataclass(frozen=True)
class Accuracy:
    """What one tolerance costs and gives; errors are relative to the loss.

    Attributes
    ----------
    rtol : float
    seconds : Clocked
    nodes : int
        Of all outputs together.
    bound, error : float
        The bound on the error that is returned, and the difference from the reference.
    """

    rtol: float
    seconds: Clocked
    nodes: int
    bound: float
    error: float


@dataclass(frozen=True)
class Reference:
    """The most accurate loss that there is, and a bound on its relative error."""

    loss: float
    bound: float


def reference_of(at: LossAndGradient) -> Reference:
    return Reference(float(at.loss), float(at.error / at.loss))


def measure(
    n: int, m: int, density: float, tolerances: tuple[float, ...], enough: float = 0.3
) -> tuple[list[Accuracy], Reference, Sampling]:
    """Time one model at several tolerances; all its outputs are sums over nodes."""
    W, b = random_model(n, m)
    arguments: dict[str, Any] = {"density": density, "importance": np.ones(n)}
    with closed_up_to(RECURRENCE):
        reference = reference_of(population_loss_and_grad(W, b, **arguments, rtol=LEAST_RTOL))
    found = []
    with closed_up_to(0):
        for rtol in tolerances:
            at, nodes = with_nodes(W, b, **arguments, rtol=rtol)
            work = partial(population_loss_and_grad, W, b, **arguments, rtol=rtol)
            found.append(
                Accuracy(
                    rtol,
                    clocked(work, enough),
                    nodes,
                    float(at.error / at.loss),
                    abs(float(at.loss) / reference.loss - 1.0),
                )
            )
    return found, reference, sampling(W, b, density, enough)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small models, few tolerances")
    quick = parser.parse_args().quick
    cases, tolerances, enough = CASES, TOLERANCES, 0.3
    if quick:
        cases, tolerances, enough = QUICK_CASES, TOLERANCES[::3], 0.05
    compile_all()
    rows = []
    for n, m, density in cases:
        found, reference, plain = measure(n, m, density, tolerances, enough)
        for each in found:
            seconds = each.seconds.processor
            needed = plain.seconds_to(each.bound)
            rows.append(
                [f"({n}, {m})", f"{density:g}", f"{each.rtol:.0e}", f"{each.nodes / n:,.0f}",
                 milliseconds(seconds), f"{each.bound:.0e}", f"{each.error:.0e}",
                 f"{plain.error_after(seconds):.0e}", f"{needed:.1e} s",
                 f"{needed / seconds:.0e}", f"{reference.bound:.0e}"]
            )  # fmt: skip
    header = ["(n, m)", "density", "rtol", "nodes/output", "ms", "bound", "error"]
    header += ["sampling, same time", "to the bound", "ratio", "reference within"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
