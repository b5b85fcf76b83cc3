"""Training of two-layer models: model-samples per second of `train` against loops of torch.

A model-sample is one example seen by one model. The models are those of Elhage et al. 2022: ten
features in five neurons with a ReLU on the hidden layer, and |x| of a hundred features in forty
neurons. All run Adam on batches of 1024 in float32 on the same number of models, on one core, each
in its turn in every round; the plain loop is what anyone would write with autograd.

    python benchmarks/two_layer.py [--quick]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from plain_loop import interleaved_seconds, load, print_table

from superposition import Independent, ValueDistribution
from superposition.numerics import Protocol, train

BATCH = 1024
SIGNED = Independent(ValueDistribution([1], symmetric=True))
UNSIGNED = Independent()


@dataclass(frozen=True)
class Case:
    """Which models are trained, how many at once, and for how many steps a round."""

    architecture: str
    n_features: int
    n_hidden: int
    models: int
    steps: int


CASES = (Case("relu-hidden", 10, 5, 32, 40), Case("absolute-value", 100, 40, 4, 20))


class PlainTwoLayerLoop:
    """A loop over steps that trains all models of a case at once."""

    def __init__(self, case: Case, density: float) -> None:
        self._case, self._density = case, density
        n, m = case.n_features, case.n_hidden
        self._absolute = case.architecture == "absolute-value"
        self.W = (torch.randn(case.models, m, n) / n**0.5).requires_grad_()
        self.V = (torch.randn(case.models, n, m) / n**0.5).requires_grad_()
        self.b = torch.zeros(case.models, n, requires_grad=True)
        trained = [self.W, self.V, self.b] if self._absolute else [self.W, self.b]
        self._optimizer = torch.optim.Adam(trained, lr=1e-2)

    def run(self, steps: int) -> None:
        """Make `steps` updates."""
        shape = (self._case.models, BATCH, self._case.n_features)
        for _ in range(steps):
            x = torch.rand(shape) * (torch.rand(shape) < self._density)
            if self._absolute:
                x = torch.where(torch.rand(shape) < 0.5, x, -x)
            hidden = torch.relu(x @ self.W.mT)
            outputs = hidden @ (self.V.mT if self._absolute else self.W) + self.b[:, None]
            target = x.abs() if self._absolute else x
            loss = ((target - torch.relu(outputs)) ** 2).sum(dim=-1).mean(dim=1).sum()
            self._optimizer.zero_grad()
            torch.autograd.backward(loss)
            self._optimizer.step()


def trained(case: Case, density: float, engine: str, steps: int) -> object:
    """Train the models of a case by an engine of `train`, on one core."""
    protocol = Protocol(
        name="benchmark", optimizer="adam", learning_rate=1e-2, steps=steps, batch_size=BATCH
    )
    features = SIGNED if case.architecture == "absolute-value" else UNSIGNED
    return train(
        case.n_features, case.n_hidden, density=density, importance=np.ones(case.n_features),
        architecture=case.architecture, features=features, protocol=protocol, engine=engine,
        replicas=case.models, workers=1,
    )  # fmt: skip


def compare(case: Case, density: float, steps: int, rounds: int) -> list[str]:
    """Return a row of the table."""
    torch.set_num_threads(1)
    works: list[Callable[[], object]] = [
        partial(trained, case, density, "fused", steps),
        partial(trained, case, density, "torch", steps),
        partial(PlainTwoLayerLoop(case, density).run, steps),
    ]
    for work in works:
        work()  # compiles
    seconds = interleaved_seconds(works, rounds)
    rates = [case.models * BATCH * steps / each for each in seconds]
    name = f"{case.architecture} ({case.n_features}, {case.n_hidden})"
    ratios = [f"{rates[0] / rate:.1f}" for rate in rates[1:]]
    return [name, f"{density:g}", *[f"{rate:.1e}" for rate in rates], *ratios]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps and densities")
    quick = parser.parse_args().quick
    print(f"one core, batches of {BATCH}; {load()}")
    rows = [
        compare(case, density, max(2, case.steps // (10 if quick else 1)), 3 if quick else 7)
        for case in CASES
        for density in ((0.1,) if quick else (1.0, 0.1, 0.01, 0.001))
    ]
    header = ["models", "density", "train", "torch engine", "plain loop", "/ engine", "/ plain"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
