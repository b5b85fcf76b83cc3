"""Training against the size of the batch: time per example, `train` and a plain PyTorch loop.

Two features in one dimension and twenty in five, Adam in float32, density 0.3. Examples are taken
64 at a time, so that a batch of 65 costs what one of 128 does.

    python benchmarks/batch.py [--quick]
"""

from __future__ import annotations

import argparse

import torch
from plain_loop import core_counts, print_table
from train import rates

SIZES = [(2, 1), (20, 5)]
BATCHES = (1, 8, 32, 64, 65, 128, 256, 1024, 4096)
DENSITY = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models, steps and sizes")
    quick = parser.parse_args().quick
    examples, repeats, batches = (2**15, 2, BATCHES[3::3]) if quick else (2**17, 5, BATCHES)
    cores = core_counts()[-1]
    rows = []
    for n, m in SIZES:
        for batch in batches:
            models = max(8, examples // (n * batch))
            ours, _, plain, _ = rates(
                n, m, DENSITY, models=models, batch=batch, steps=20, repeats=repeats, cores=cores
            )
            times = [f"{1e9 / rate:.2f}" for rate in (ours, plain)]
            rows.append([f"({n}, {m})", str(batch), str(models), *times, f"{ours / plain:.1f}"])
    print(f"torch {torch.__version__}; {cores} cores; 20 steps of Adam, density {DENSITY}")
    print_table(
        ["(n, m)", "batch", "models", "train, ns/example", "plain loop", "ratio"],
        rows,
    )


if __name__ == "__main__":
    main()
