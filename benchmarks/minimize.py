"""Minimizing: a million models from random starts, against what anyone would write.

Every model has its own density, uniform in (0, 1], its own relative importance, log-uniform in
0.1 … 10, and one random start; descent ends at a gradient norm below 1e-8. Baselines, on some of
the same models and the same exact loss: `scipy.optimize.minimize` (BFGS with the exact gradient),
model by model, and this package's batched BFGS. Further a plain batched PyTorch training loop, Adam
at 1e-2 and batch 64, whose 6 000 steps are extrapolated from those that are run; it does not reach
a minimum but the neighborhood of one. Times are processor seconds of one core, so that other work
on the machine does not count; wall time is given for the whole batch.

    python benchmarks/minimize.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from memory import peak_megabytes
from numpy.typing import NDArray
from plain_loop import PlainLoop, print_table
from scipy import optimize

from superposition.numerics import Descent, descend, population_loss_and_grad, random_starts
from superposition.validation.sweeps.run import (
    DEFAULT_REPLICAS as REPLICAS,
    DEFAULT_STARTS as STARTS,
)

Floats = NDArray[np.float64]

SIZES = {(2, 1): (1_000_000, 20_000), (3, 2): (50_000, 5_000), (5, 2): (200, 20)}
NORM = 1e-8
STEPS = 6000


def plane(n: int, m: int, count: int) -> tuple[Floats, Floats, dict[str, Any]]:
    """Starts, and densities and importances, of random models."""
    rng = np.random.default_rng(0)
    importance = np.ones((count, n))
    importance[:, -1] = np.exp(rng.uniform(np.log(0.1), np.log(10), count))
    W, b = random_starts(n, m, count)
    return W, b, {"density": 1.0 - rng.uniform(0, 1, count), "importance": importance}


def tolerance(model: dict[str, Any]) -> float:
    """Relative tolerance of `descend` at which every gradient norm is below NORM."""
    return float(NORM / (model["density"][:, np.newaxis] * model["importance"]).sum(axis=1).max())


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor seconds of `work`, and what it returned."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def scipy_seconds(W: Floats, b: Floats, model: dict[str, Any], count: int) -> float:
    """Processor seconds per model of SciPy's BFGS on the exact loss."""
    m, n = W.shape[1:]

    def descend_one(k: int) -> object:
        arguments = {"density": model["density"][k], "importance": model["importance"][k]}

        def loss(x: Floats) -> tuple[float, Floats]:
            at = population_loss_and_grad(x[: m * n].reshape(m, n), x[m * n :], **arguments)
            return float(at.loss), np.concatenate([np.ravel(at.dW), at.db])

        start = np.concatenate([W[k].ravel(), b[k]])
        return optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": NORM})

    descend_one(0)
    return timed(lambda: [descend_one(k) for k in range(count)])[1] / count


def size_row(n: int, m: int, count: int, few: int) -> tuple[list[str], Descent]:
    """Descend `count` models; return a row of the table."""
    W, b, model = plane(n, m, count)
    options: dict[str, Any] = {"tolerance": tolerance(model)}
    for method in (None, "bfgs"):  # compile
        descend(W[:2], b[:2], density=model["density"][:2], importance=model["importance"][:2],
                method=method)  # fmt: skip
    wall, cpu, found = timed(lambda: descend(W, b, **model, **options))
    some = {key: value[:few] for key, value in model.items()}
    _, bfgs, _ = timed(lambda: descend(W[:few], b[:few], **some, **options, method="bfgs"))
    scipy = scipy_seconds(W, b, model, min(few, 50))
    row = [
        f"({n}, {m})", f"{count:,}", f"{wall:.2f} s", f"{cpu / count * 1e6:,.1f} us",
        f"{found.evaluations.mean():.1f}", f"{(found.gradient_norm < NORM).mean():.4%}",
        f"{bfgs / few / (cpu / count):.1f}", f"{scipy / (cpu / count):,.0f}",
    ]  # fmt: skip
    return row, found


def print_kinds(quick: bool) -> None:
    """Print what kinds of points descents end in, before and after saddles are left."""
    count = 1_000 if quick else 10_000
    W, b, model = plane(2, 1, count)
    plain = descend(W, b, **model)
    _, cpu, found = timed(lambda: descend(W, b, **model, certify=True))
    assert found.kind is not None
    left = (found.loss < plain.loss * (1 - 1e-9)).mean()
    kinds, counts = np.unique(found.kind, return_counts=True)
    listed = ", ".join(f"{k} {c / count:.2%}" for k, c in zip(kinds, counts, strict=True))
    print(
        f"\n(2, 1), certified, {cpu / count * 1e6:.0f} us a model: {listed}; "
        f"{left:.1%} of the starts had run into a saddle and were led on"
    )


def print_plain_loop(quick: bool) -> None:
    """Print what a point of a phase diagram costs, against a plain training loop."""
    count, timed_steps = (256, 20) if quick else (2304, 100)
    W, b, model = plane(2, 1, count)
    _, exact, _ = timed(lambda: descend(W, b, **model))
    torch.manual_seed(0)
    torch.set_num_threads(1)
    loop = PlainLoop(1, model["density"], model["importance"])
    loop.run(5)
    plain = timed(lambda: loop.run(timed_steps))[1] * STEPS / timed_steps
    print(
        f"plain PyTorch loop, {plain / count:.1e} s a model: {plain / exact:,.0f} times descend; "
        f"{REPLICAS} replicas cost {plain * REPLICAS / (exact * STARTS):,.0f} times {STARTS} starts"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the models")
    quick = parser.parse_args().quick
    before = peak_megabytes()
    rows = []
    for (n, m), (count, few) in SIZES.items():
        scale = 100 if quick else 1
        row, _ = size_row(n, m, max(4, count // scale), max(4, few // scale))
        rows.append([*row, f"{peak_megabytes():,.0f} MB"])
    print(f"to a gradient norm below {NORM:g}; {before:,.0f} MB of memory before the first model")
    print_table(
        [
            "(n, m)",
            "models",
            "wall",
            "per model",
            "evaluations",
            "below",
            "/ BFGS",
            "/ SciPy",
            "peak",
        ],
        rows,
    )
    print_kinds(quick)
    print_plain_loop(quick)


if __name__ == "__main__":
    main()
