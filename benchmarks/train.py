"""Training: model-samples per second of `train` against a plain batched PyTorch loop.

A model-sample is one example seen by one model. Both run Adam with batches of 64 in float32 on the
same number of models; the start-up, short, is counted for `train` and not for the plain loop.

    python benchmarks/train.py [--quick]
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import product

import numpy as np
import torch
from plain_loop import PlainLoop, core_counts, median_seconds, print_table

from superposition.numerics import Protocol, train

SIZES = [(2, 1), (3, 2), (5, 2), (20, 5)]
DENSITIES = (0.05, 0.3, 1.0)
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models and steps")
    quick = parser.parse_args().quick
    entries, steps, repeats = (2**11, 20, 3) if quick else (2**13, 50, 3)
    protocol = Protocol(
        name="benchmark", optimizer="adam", learning_rate=1e-2, steps=steps, batch_size=BATCH
    )
    rows = []
    for (n, m), density in product(SIZES, DENSITIES):
        models = entries // n
        samples = models * BATCH * steps
        cells = [f"({n}, {m})", str(models), str(density)]
        for cores in core_counts():
            ours = partial(
                train, n, m, density=density, importance=np.ones(n), protocol=protocol,
                replicas=models, workers=cores,
            )  # fmt: skip
            rate = samples / median_seconds(ours, repeats)
            torch.manual_seed(0)
            torch.set_num_threads(cores)
            loop = PlainLoop(m, np.full(models, density), np.ones((models, n)), BATCH)
            plain = samples / median_seconds(partial(loop.run, steps), repeats)
            cells += [f"{rate:.1e}", f"{plain:.1e}", f"{rate / plain:.1f}"]
        rows.append(cells)
    print(f"torch {torch.__version__}; {steps} steps of Adam, batch {BATCH}; model-samples/s")
    header = ["(n, m)", "models", "density"]
    for cores in core_counts():
        header += [f"train, {cores} core" + "s" * (cores > 1), "plain loop", "ratio"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
