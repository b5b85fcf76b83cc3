"""Training against the size of the batch: time per example, `train` and a plain PyTorch loop.

Two features in one dimension and twenty in five, Adam in float32, density 0.3. Examples are taken
64 at a time, so that a batch of 65 costs what one of 128 does.

    python benchmarks/batch.py [--quick]
"""

from __future__ import annotations

import argparse

import torch
from plain_loop import core_counts, load, print_table
from train import rates

SIZES = [(2, 1), (20, 5)]
BATCHES: tuple[int, ...] = (1, 8, 32, 64, 65, 128, 256, 1024, 4096)
DENSITY = 0.3
NAMES = ("train", "plain loop")


def measure(
    n: int, m: int, batch: int, *, numbers: int, cores: int, seconds: float, rounds: int
) -> list[float]:
    """Seconds for each example and model of `train` and of the plain loop.

    Models are as many as make about so many `numbers` in the inputs of a step.
    """
    found = rates(
        n, m, DENSITY, models=max(8, numbers // (n * batch)), batch=batch, cores=cores,
        seconds=seconds, rounds=rounds, names=NAMES,
    )  # fmt: skip
    return [1.0 / found[name] for name in NAMES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models, steps and sizes")
    quick = parser.parse_args().quick
    batches, numbers, seconds, rounds = BATCHES, 2**17, 0.2, 5
    if quick:
        batches, numbers, seconds, rounds = BATCHES[3::3], 2**15, 0.03, 3
    before, cores, rows = load(), core_counts()[-1], []
    for n, m in SIZES:
        for batch in batches:
            ours, plain = measure(
                n, m, batch, numbers=numbers, cores=cores, seconds=seconds, rounds=rounds
            )
            times = [f"{1e9 * each:.2f}" for each in (ours, plain)]
            rows.append([f"({n}, {m})", str(batch), *times, f"{plain / ours:.1f}"])
    print(f"torch {torch.__version__}; {cores} cores; Adam, density {DENSITY}; {before}")
    print_table(["(n, m)", "batch", "train, ns/example", "plain loop", "ratio"], rows)


if __name__ == "__main__":
    main()
