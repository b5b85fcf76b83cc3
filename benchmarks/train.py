"""Training: model-samples per second of `train` against loops that torch runs.

A model-sample is one example seen by one model. All run Adam with batches of 64 in float32 on the
same number of models. The plain loop is what anyone would write; the torch engine is this package's
own best use of torch, by hand, and "products" the least that any loop of torch could take: the five
batched matrix products of a step alone, without data, activation and optimizer. All of `train` is
counted, start and end included. On one core the clock is that of the processor, else the wall's.

    python benchmarks/train.py [--quick] [--batch 64]
    python benchmarks/train.py --study [--device cuda] [--steps 6000]

The study is a million models of two features in one dimension: 1000 densities, 100 importances, 10
replicas, 6000 steps of Adam on batches of 64. With fewer steps the time of all of them is
extrapolated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import torch
from plain_loop import PlainLoop, best_seconds, core_counts, print_table

from superposition.numerics import PROTOCOLS, Protocol, train

SIZES = [(2, 1), (3, 2), (5, 2), (20, 5), (400, 30)]
DENSITIES = (0.05, 0.3, 1.0)
FEATURE_MODELS = 2**13

# Every loop gets work for about as long as the others.
MORE_STEPS_OF_TRAIN = 20


def torch_loop(work: Callable[[], object], cores: int) -> Callable[[], object]:
    """Return work that sets the number of threads first."""

    def limited() -> None:
        torch.set_num_threads(cores)
        work()

    return limited


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


def rates(
    n: int, m: int, density: float, *, models: int, batch: int, steps: int, repeats: int, cores: int
) -> list[float]:
    """Model-samples per second of `train`, the torch engine, the plain loop and its products."""

    def trained(engine: str, steps: int) -> Callable[[], object]:
        protocol = Protocol(
            name="benchmark", optimizer="adam", learning_rate=1e-2, steps=steps, batch_size=batch
        )
        return partial(
            train, n, m, density=density, importance=np.ones(n), protocol=protocol,
            replicas=models, workers=cores, engine=engine,
        )  # fmt: skip

    torch.manual_seed(0)
    loop = PlainLoop(m, np.full(models, density), np.ones((models, n)), batch)
    products = partial(matrix_products, n, m, models, batch, steps)
    works = [
        trained("fused", MORE_STEPS_OF_TRAIN * steps),
        trained("torch", steps),
        torch_loop(partial(loop.run, steps), cores),
        torch_loop(products, cores),
    ]
    seconds = best_seconds(works, repeats, cores)
    seconds[0] /= MORE_STEPS_OF_TRAIN
    return [models * batch * steps / each for each in seconds]


def compare(quick: bool, batch: int) -> None:
    feature_models, steps, repeats = (2**10, 20, 3) if quick else (FEATURE_MODELS, 50, 5)
    print(f"torch {torch.__version__}; {steps} steps of Adam, batch {batch}; model-samples/s")
    header = ["(n, m)", "models", "density", "cores", "train", "torch engine", "plain loop"]
    header += ["products", "train / plain", "train / products"]
    rows = []
    for (n, m), density, cores in product(SIZES, DENSITIES, core_counts()):
        models = max(2 * cores, feature_models // n)
        ours, by_torch, plain, products = rates(
            n, m, density, models=models, batch=batch, steps=max(2, steps * 64 // batch),
            repeats=repeats, cores=cores,
        )  # fmt: skip
        rows.append(
            [f"({n}, {m})", str(models), str(density), str(cores)]
            + [f"{rate:.1e}" for rate in (ours, by_torch, plain, products)]
            + [f"{ours / plain:.1f}", f"{ours / products:.1f}"]
        )
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
