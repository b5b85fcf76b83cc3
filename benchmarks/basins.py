"""Flows and noise-free training: models per second against what anyone would write first.

Gradient flow of two features in one dimension from random starts, by the compiled solver and by
`scipy.integrate.solve_ivp` with LSODA, model by model, both to the same gradient norm on the same
exact loss. Noise-free Adam, against autograd through the exact loss and `torch.optim.Adam` on all
models at once. Times are processor seconds, so that other work on the machine does not count.

    python benchmarks/basins.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from plain_loop import print_table

from superposition.numerics import Protocol, population_loss, random_starts
from superposition.numerics.dynamics.gradient_flow import gradient_flow
from superposition.numerics.training.population import train_on_population

DENSITIES = (0.02, 0.1, 0.5, 1.0)
IMPORTANCE = (1.0, 0.7)


def processor_seconds(work: Callable[[], Any]) -> float:
    """Least processor time of three calls, after one that is not counted."""
    work()
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def flow_row(density: float, models: int, few: int) -> list[str]:
    W, b = random_starts(2, 1, models)
    model: dict[str, Any] = {"density": density, "importance": IMPORTANCE, "tolerance": 1e-5}
    evaluations = gradient_flow(W, b, **model).evaluations.mean()
    ours = processor_seconds(partial(gradient_flow, W, b, **model)) / models
    theirs = processor_seconds(partial(gradient_flow, W[:few], b[:few], solver="LSODA", **model))
    theirs /= few
    return [
        str(density),
        f"{1 / ours:.0f}",
        f"{evaluations:.0f}",
        f"{1 / theirs:.1f}",
        f"{theirs / ours:.0f}",
    ]


def plain_adam(W: torch.Tensor, b: torch.Tensor, density: float, steps: int) -> None:
    W, b = W.clone().requires_grad_(), b.clone().requires_grad_()
    optimizer = torch.optim.Adam([W, b], lr=0.01)
    for _ in range(steps):
        loss = population_loss(W, b, density=density, importance=IMPORTANCE).sum()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def training_row(density: float, models: int, steps: int) -> list[str]:
    W, b = random_starts(2, 1, models)
    protocol = Protocol(
        name="benchmark", optimizer="adam", learning_rate=0.01, steps=steps, batch_size=1
    )
    compiled = partial(
        train_on_population, 2, 1, density=density, importance=IMPORTANCE, protocol=protocol,
        replicas=models, initial=(W, b),
    )  # fmt: skip
    plain = partial(plain_adam, torch.from_numpy(W), torch.from_numpy(b), density, steps)
    ours, theirs = processor_seconds(compiled), processor_seconds(plain)
    done = models * steps
    return [str(density), f"{done / ours:.2e}", f"{done / theirs:.2e}", f"{theirs / ours:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models and steps")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    models, few, steps = (100, 1, 50) if quick else (2000, 5, 300)
    print("gradient flow to a gradient norm of 1e-5 Σ I s, per processor second")
    header = ["density", "flows/s", "gradients per flow", "LSODA, flows/s", "ratio"]
    print_table(header, [flow_row(density, models, few) for density in DENSITIES])
    print(f"\nAdam on the exact gradient, {models} models, model-steps per processor second")
    header = ["density", "compiled", "autograd loop", "ratio"]
    print_table(header, [training_row(density, models, steps) for density in DENSITIES])


if __name__ == "__main__":
    main()
