"""Training against the number of models: time per model and step, `train` and a plain PyTorch loop.

Two features in one dimension, Adam on batches of 64 in float32, density 0.3. A plain loop pays for
calling torch while models are few, and for memory when they are many.

    python benchmarks/models.py [--quick]
"""

from __future__ import annotations

import argparse

import torch
from plain_loop import core_counts, print_table
from train import rates

MODELS = (1, 10, 100, 1_000, 10_000, 100_000)
BATCH, DENSITY = 64, 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models and steps")
    quick = parser.parse_args().quick
    counts, work, repeats = (MODELS[::2], 10_000, 2) if quick else (MODELS, 200_000, 5)
    cores = core_counts()[-1]
    rows = []
    for models in counts:
        steps = min(1000, max(5, work // models))
        ours, _, plain, _ = rates(
            2, 1, DENSITY, models=models, batch=BATCH, steps=steps, repeats=repeats, cores=cores
        )
        times = [f"{1e9 * BATCH / rate:,.0f}" for rate in (ours, plain)]
        rows.append([str(models), str(steps), *times, f"{ours / plain:.1f}"])
    print(f"torch {torch.__version__}; {cores} cores; (2, 1), batch {BATCH}, density {DENSITY}")
    print_table(["models", "steps", "train, ns/model-step", "plain loop", "ratio"], rows)


if __name__ == "__main__":
    main()
