"""Training: model-samples per second of `train` against loops that torch runs.

A model-sample is one example seen by one model. All run Adam with batches of 64 in float32 on the
same number of models. The plain loop is what anyone would write; the torch engine is this package's
own best use of torch, by hand, and "products" the least that any loop of torch could take: the five
batched matrix products of a step alone, without data, activation and optimizer. Each takes as many
steps as fill a given time, with all of `train` counted, start and end included, and all take their
turn in every round. On one core the clock is that of the processor; on all cores it is wall time,
which wants a machine without other work.

    python benchmarks/train.py [--quick] [--batch 64]
    python benchmarks/train.py --study [--device cuda] [--steps 6000]

The study is a million models of two features in one dimension: 1000 densities, 100 importances, 10
replicas, 6000 steps of Adam on batches of 64. With fewer steps the time of all of them is
extrapolated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from plain_loop import PlainLoop, clock_for, core_counts, interleaved_seconds, load, print_table

from superposition.numerics import PROTOCOLS, Protocol, train

PAIR = (2, 1)
LARGER = [(3, 2), (5, 2), (20, 5), (400, 30)]
DENSITIES = (0.05, 0.3, 1.0)
FEATURE_MODELS = 2**13
NAMES = ("train", "torch engine", "plain loop", "products")

Loop = Callable[[int], object]


def with_threads(cores: int, loop: Loop, steps: int) -> None:
    """Run a loop of torch on so many cores."""
    torch.set_num_threads(cores)
    loop(steps)


def matrix_products(n: int, m: int, models: int, batch: int, steps: int) -> None:
    """W x, Wᵀh, W δ, h δᵀ and (W δ) xᵀ for all models, `steps` times."""
    W, x = torch.rand(models, m, n), torch.rand(models, n, batch)
    h, z = torch.empty(models, m, batch), torch.empty(models, n, batch)
    back, dW = torch.empty(models, m, batch), torch.empty(models, m, n)
    for _ in range(steps):
        torch.bmm(W, x, out=h)
        torch.bmm(W.mT, h, out=z)
        torch.bmm(W, z, out=back)
        torch.bmm(h, z.mT, out=dW)
        torch.bmm(back, x.mT, out=dW)


def loops_of(
    n: int, m: int, density: float, *, models: int, batch: int, cores: int
) -> dict[str, Loop]:
    """Return what is compared, each as a function of the number of steps."""

    def trained(engine: str, steps: int) -> object:
        protocol = Protocol(
            name="benchmark", optimizer="adam", learning_rate=1e-2, steps=steps, batch_size=batch
        )
        return train(
            n, m, density=density, importance=np.ones(n), protocol=protocol, replicas=models,
            workers=cores, engine=engine,
        )  # fmt: skip

    torch.manual_seed(0)
    plain = PlainLoop(m, np.full(models, density), np.ones((models, n)), batch)
    return {
        "train": partial(trained, "fused"),
        "torch engine": partial(trained, "torch"),
        "plain loop": partial(with_threads, cores, plain.run),
        "products": partial(with_threads, cores, partial(matrix_products, n, m, models, batch)),
    }


def enough_steps(loop: Loop, seconds: float, cores: int) -> int:
    """Return how many steps take about so long, beside what one call takes with a single step."""

    def timed(steps: int) -> float:
        times = []
        for _ in range(2):  # what else the machine does only adds to a time
            start = clock()
            loop(steps)
            times.append(clock() - start)
        return min(times)

    clock = clock_for(cores)
    loop(1)  # compiles
    first, steps = timed(1), 4
    while (stepping := timed(steps) - first) < 0.2 * seconds:
        steps *= 4
    return max(1, round(steps * seconds / stepping))


def rates(
    n: int, m: int, density: float, *, models: int, batch: int, cores: int, seconds: float,
    rounds: int, names: Sequence[str] = NAMES,
) -> dict[str, float]:  # fmt: skip
    """Model-samples per second of each loop: medians over rounds in which all take their turn."""
    loops = loops_of(n, m, density, models=models, batch=batch, cores=cores)
    steps = [enough_steps(loops[name], seconds, cores) for name in names]
    works = [partial(loops[name], count) for name, count in zip(names, steps, strict=True)]
    medians = interleaved_seconds(works, rounds, cores)
    return {
        name: models * batch * count / median
        for name, count, median in zip(names, steps, medians, strict=True)
    }


def compare(quick: bool, batch: int) -> None:
    cases = [
        (*size, density, cores)
        for cores in core_counts()
        for size in (PAIR, *LARGER)
        for density in (DENSITIES if size == PAIR else DENSITIES[::2])
    ]
    feature_models, seconds, rounds = (2**10, 0.02, 3) if quick else (FEATURE_MODELS, 0.25, 3)
    print(f"torch {torch.__version__}; Adam, batch {batch}; model-samples/s, medians of {rounds}")
    print(f"rounds of {seconds} s each; other work on the machine: {load()}")
    rows = []
    for n, m, density, cores in cases[:: 4 if quick else 1]:
        models = max(2 * cores, feature_models // n)
        found = rates(
            n, m, density, models=models, batch=batch, cores=cores, seconds=seconds, rounds=rounds
        )
        rows.append(
            [f"({n}, {m})", str(models), str(density), str(cores)]
            + [f"{rate:.1e}" for rate in found.values()]
            + [f"{found['train'] / found[name]:.1f}" for name in ("plain loop", "products")]
        )
    header = ["(n, m)", "models", "density", "cores", *NAMES, "train / plain", "train / products"]
    print_table(header, rows)


def study(device: str, steps: int | None, quick: bool) -> None:
    """The million models, or, in a hurry, a hundredth of them."""
    protocol = PROTOCOLS["roe2023"]
    done = min(steps or (60 if quick else protocol.steps), protocol.steps)
    densities, importances = (100, 10) if quick else (1000, 100)
    importance = np.ones((1, importances, 2))
    importance[..., 1] = np.linspace(0, 9.9, importances)
    start = time.perf_counter()
    result = train(
        2, 1, density=1 - np.linspace(0, 0.999, densities)[:, None], importance=importance,
        replicas=10, protocol=replace(protocol, name="study", steps=done), device=device,
        progress=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    models = result.diverged.size
    samples = models * done * protocol.batch_size
    print(
        f"{models} models on {device}, {done} steps: {seconds:.1f} s, "
        f"{samples / seconds:.2e} model-samples/s"
    )
    if done < protocol.steps:
        whole = seconds * protocol.steps / done
        print(f"{protocol.steps} steps, extrapolated: {whole:.0f} s")
    if device.startswith("cuda"):
        print(f"largest memory: {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer models and steps")
    parser.add_argument("--batch", type=int, default=64, help="batch size of the comparison")
    parser.add_argument("--study", action="store_true", help="train the million models instead")
    parser.add_argument("--device", default="cpu", help="of the study")
    parser.add_argument("--steps", type=int, help="of the study: extrapolate from so many")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("This machine has no CUDA device, or torch was built without CUDA: nothing measured.")
    elif options.study or options.device != "cpu":
        study(options.device, options.steps, options.quick)
    else:
        compare(options.quick, options.batch)


if __name__ == "__main__":
    main()
