"""Training against the number of models: time per model and step, `train` and a plain PyTorch loop.

Two features in one dimension, Adam on batches of 64 in float32, density 0.3. A plain loop pays for
calling torch while models are few, and for memory when they are many.

    python benchmarks/models.py [--quick]
"""

from __future__ import annotations

import argparse

import torch
from plain_loop import core_counts, load, print_table
from train import rates

MODELS = (1, 10, 100, 1_000, 10_000, 100_000)
BATCH, DENSITY = 64, 0.3
NAMES = ("train", "plain loop")


def measure(models: int, *, cores: int, seconds: float, rounds: int) -> list[float]:
    """Seconds for each model and step of `train` and of the plain loop."""
    found = rates(
        2, 1, DENSITY, models=models, batch=BATCH, cores=cores, seconds=seconds,
        rounds=rounds, names=NAMES,
    )  # fmt: skip
    return [BATCH / found[name] for name in NAMES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models and steps")
    quick = parser.parse_args().quick
    counts, seconds, rounds = (MODELS[:5:2], 0.03, 3) if quick else (MODELS, 0.3, 5)
    before, cores, rows = load(), core_counts()[-1], []
    for models in counts:
        ours, plain = measure(models, cores=cores, seconds=seconds, rounds=rounds)
        times = [f"{1e9 * each:,.0f}" for each in (ours, plain)]
        rows.append([str(models), *times, f"{plain / ours:.1f}"])
    print(f"torch {torch.__version__}; {cores} cores; (2, 1), batch {BATCH}, density {DENSITY}")
    print(before)
    print_table(["models", "train, ns/model-step", "plain loop", "ratio"], rows)


if __name__ == "__main__":
    main()
