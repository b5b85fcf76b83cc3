"""Stochastic gradient training of many models at once, on data sampled for each of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from ..features import FeatureDistribution, check_features
from ..model import Activation, check_activation, check_penalty, check_sizes
from .arguments import broadcast_parameters
from .optimizers import make_optimizer
from .protocols import Protocol, resolve_protocol
from .random_words import BIASES, DATA, WEIGHTS, batch_keys, model_keys, standard_normals
from .sampled_gradient import (
    ELEMENTWISE_FEATURES,
    MATRIX_MODELS,
    PackedModels,
    SampledGradient,
    make_gradient,
)
from .sampling import make_sampler

__all__ = ["DIVERGED_ABOVE", "TrainingResult", "train"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DIVERGED_ABOVE = 100.0
"""A weight or bias beyond this counts as exploded: optima have entries of order 1."""

# Entries of one array of inputs in a chunk. On a CPU, where more leaves the cache of a core and
# fewer makes the threads wait for the interpreter lock between short calls (measured: 2^16 entries
# are half as fast as 2^18 with two workers); on a GPU, such that the calls keep it busy.
_CHUNK_ENTRIES_CPU = 1 << 18
_CHUNK_ENTRIES_GPU = 1 << 27

# Keys of this many steps are made in one go; between two blocks a chunk looks for cancellation.
_KEY_BLOCK = 64

# Losses are recorded about this many times unless the caller says otherwise.
_DEFAULT_RECORDS = 20


@dataclass(frozen=True)
class TrainingResult:
    """Trained models, one per (grid point, replica).

    Attributes
    ----------
    W : ndarray of float64, shape (..., replicas, n_hidden, n_features)
    b : ndarray of float64, shape (..., replicas, n_features)
    loss_history : ndarray of float64, shape (..., replicas, n_recorded)
        Loss on the batch of each recorded step, before that step's update: a sum over features and
        a mean over the batch, whatever the protocol's reduction, with the interference penalty.
        A sample, of a few hundred examples: judge trained models by `population_loss`.
    recorded_steps : ndarray of int64, shape (n_recorded,)
        Counted from 0; the first and the last step are among them.
    diverged : ndarray of bool, shape (..., replicas)
        A weight or bias is not finite or exceeds `DIVERGED_ABOVE` in absolute value. W and b of
        such a model are returned as they are.
    protocol : Protocol
    seed : int
    """

    W: Floats
    b: Floats
    loss_history: Floats
    recorded_steps: Integers
    diverged: NDArray[np.bool_]
    protocol: Protocol
    seed: int


@dataclass(frozen=True)
class _Plan:
    """A validated request; model number g · replicas + k is replica k of grid point g."""

    protocol: Protocol
    activation: Activation
    seed: int
    replicas: int
    n_hidden: int
    features: FeatureDistribution
    density: Floats
    importance: Floats
    penalty: Floats
    model_index: Integers
    initial: tuple[Floats, Floats] | None
    recorded_steps: Integers
    device: torch.device
    dtype: torch.dtype

    @property
    def n_features(self) -> int:
        return int(self.density.shape[-1])

    @property
    def n_models(self) -> int:
        return len(self.density) * self.replicas


@dataclass(frozen=True)
class _Trained:
    W: Floats
    b: Floats
    loss_history: Floats


def train(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
    protocol: str | Protocol = "annealed",
    replicas: int = 1,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    model_index: ArrayLike | None = None,
    initial: tuple[ArrayLike, ArrayLike] | None = None,
    record_every: int | None = None,
    chunk_size: int | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> TrainingResult:
    """Train one model per (grid point, replica) by stochastic gradient descent on sampled data.

    Start and data of a model are functions of (seed, model index, replica) alone, and the models
    do not interact: on a CPU the result for a model is the same to the last bit however the grid
    is split, whatever `replicas`, `chunk_size` and `workers` are.

    Parameters
    ----------
    n_features, n_hidden : int
    density : array_like, shape (...) or (..., n_features)
        P(x_i ≠ 0), in [0, 1]; per model or per feature by the rule of `broadcast_parameters`.
    importance : array_like, shape (..., n_features)
        Finite and non-negative. Its leading dimensions broadcast with those of `density` to the
        shape of the grid.
    activation : {"relu", "linear"}
    features : feature distribution, optional
        What inputs are drawn from; None is `Independent`, with values uniform on [0, 1].
    penalty : array_like, broadcast to the grid
        Interference penalty λ ≥ 0.
    protocol : str or Protocol
        A name of `PROTOCOLS`, or a specification; `dataclasses.replace` derives one from another.
    replicas : int
        Models per grid point, each with its own start and data.
    seed : int
    device : str or torch.device
    dtype : torch.float32 or torch.float64
        Of the computation. The result is float64.
    model_index : array_like of int, broadcast to the grid, optional
        Names the stream of random numbers of each grid point; by default they are counted from 0.
        A sweep that trains a grid in parts passes the indices of the whole.
    initial : pair of array_like, optional
        W and b to start from instead of the protocol's draw; they broadcast to the shapes of the
        result.
    record_every : int, optional
        Steps between recorded losses; by default such that about 20 are recorded.
    chunk_size : int, optional
        Models that are computed together; by default what suits the device.
    workers : int, optional
        Chunks that are computed at the same time, in threads; by default one per CPU, and 1 on
        other devices.
    progress : bool
        Whether to show a progress bar, in model-steps.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        If a shape does not fit, a value is out of range, densities do not belong to `features`, or
        a name is unknown.

    Examples
    --------
    >>> result = train(2, 1, density=0.1, importance=[1, 1], replicas=4, seed=2)
    >>> result.W.shape, result.b.shape, int(result.diverged.sum())
    ((4, 1, 2), (4, 2), 0)

    A diagram: the leading dimensions of density and importance broadcast.

    >>> importance = [[[1, r] for r in (0.1, 1, 10)]]
    >>> train(2, 1, density=[[0.1], [0.5]], importance=importance, protocol=Protocol(
    ...     name="brief", optimizer="sgd", learning_rate=0.1, steps=10, batch_size=4)).W.shape
    (2, 3, 1, 1, 2)
    """
    check_sizes(n_features, n_hidden)
    features = check_features(features)
    chosen = resolve_protocol(protocol)
    for name, value in (("replicas", replicas), ("seed", seed)):
        _check_integer(name, value, at_least=1 if name == "replicas" else None)
    for name, optional in (
        ("record_every", record_every),
        ("chunk_size", chunk_size),
        ("workers", workers),
    ):
        if optional is not None:
            _check_integer(name, optional, at_least=1)
    parameters = broadcast_parameters(n_features, density, importance, features=features)
    grid = parameters.shape
    plan = _Plan(
        protocol=chosen,
        activation=check_activation(activation),
        seed=int(seed),
        replicas=int(replicas),
        n_hidden=int(n_hidden),
        features=features,
        density=parameters.density.reshape(-1, n_features),
        importance=parameters.importance.reshape(-1, n_features),
        penalty=_broadcast("penalty", check_penalty(penalty), grid).reshape(-1),
        model_index=_model_index(model_index, grid),
        initial=_initial(initial, (*grid, replicas), n_hidden, n_features),
        recorded_steps=_recorded_steps(chosen.steps, record_every),
        device=_device(device),
        dtype=_dtype(dtype),
    )
    trained = _train_all(plan, chunk_size, workers, progress)
    return _result(plan, trained, grid)


def _result(plan: _Plan, trained: _Trained, grid: tuple[int, ...]) -> TrainingResult:
    with np.errstate(invalid="ignore"):
        bounded = (abs(trained.W).max(axis=(1, 2)) <= DIVERGED_ABOVE) & (
            abs(trained.b).max(axis=1) <= DIVERGED_ABOVE
        )
    shape = (*grid, plan.replicas)
    return TrainingResult(
        W=trained.W.reshape(*shape, plan.n_hidden, plan.n_features),
        b=trained.b.reshape(*shape, plan.n_features),
        loss_history=trained.loss_history.reshape(*shape, len(plan.recorded_steps)),
        recorded_steps=plan.recorded_steps,
        diverged=~bounded.reshape(shape),
        protocol=plan.protocol,
        seed=plan.seed,
    )


def _train_all(
    plan: _Plan, chunk_size: int | None, workers: int | None, progress: bool
) -> _Trained:
    """Train every chunk of models and put the results in order."""
    on_cpu = plan.device.type == "cpu"
    workers = workers or (_available_cpus() if on_cpu else 1)
    size = chunk_size or _default_chunk_size(plan, workers)
    n, m, total = plan.n_features, plan.n_hidden, plan.n_models
    trained = _Trained(
        W=np.empty((total, m, n)),
        b=np.empty((total, n)),
        loss_history=np.empty((total, len(plan.recorded_steps))),
    )
    cancelled = threading.Event()
    lock = threading.Lock()
    with tqdm(
        total=total * plan.protocol.steps, disable=not progress, unit="step", unit_scale=True
    ) as bar:

        def advance(model_steps: int) -> None:
            if cancelled.is_set():
                raise _Cancelled
            with lock:
                bar.update(model_steps)

        def run(first: int) -> None:
            chunk = np.arange(first, min(first + size, total))
            _train_chunk(plan, chunk, trained, advance)

        _run_in_threads(run, range(0, total, size), workers, cancelled)
    return trained


class _Cancelled(Exception):
    """Another chunk failed, or the user interrupted: this one's result is not wanted."""


def _run_in_threads(
    run: Callable[[int], None], items: range, workers: int, cancelled: threading.Event
) -> None:
    # Always in threads of their own, each with one intra-op thread: the cores are busy with other
    # chunks, and the caller's setting must not change results.
    with (
        _restored_num_threads(),
        ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        futures = [pool.submit(run, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _restored_num_threads() -> Iterator[None]:
    # torch keeps the number per thread, but new threads inherit what was last set anywhere.
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_chunk(
    plan: _Plan, chunk: Integers, trained: _Trained, advance: Callable[[int], None]
) -> None:
    """Train the models with the numbers `chunk` and write them to `trained`."""
    protocol = plan.protocol
    wanted = len(chunk)
    if plan.n_features > ELEMENTWISE_FEATURES and wanted < MATRIX_MODELS:
        chunk = np.resize(chunk, MATRIX_MODELS)
    points, copies = chunk // plan.replicas, chunk % plan.replicas
    with torch.inference_mode():
        gradient = make_gradient(_packed_models(plan, chunk))
        optimizer = make_optimizer(gradient.parameters, protocol)
        sampler = make_sampler(
            plan.features,
            plan.density[points],
            protocol.batch_size,
            features_first=gradient.features_first,
            multiple=gradient.multiple,
            device=plan.device,
            dtype=plan.dtype,
        )
        data_keys = _keys(plan, points, copies, DATA)
        record_at = {int(step): place for place, step in enumerate(plan.recorded_steps)}
        for first in range(0, protocol.steps, _KEY_BLOCK):
            steps = range(first, min(first + _KEY_BLOCK, protocol.steps))
            keys = batch_keys(data_keys, torch.arange(steps.start, steps.stop, device=plan.device))
            for step, key in zip(steps, keys, strict=True):
                gradient.evaluate(sampler.draw_negated(key))
                if step in record_at:
                    losses = gradient.last_loss()[:wanted]
                    trained.loss_history[chunk[:wanted], record_at[step]] = losses.cpu().numpy()
                optimizer.step(gradient.gradients)
            advance(wanted * len(steps))
        _store(gradient, chunk[:wanted], trained)


def _store(gradient: SampledGradient, chunk: Integers, trained: _Trained) -> None:
    W, b = gradient.weights()
    trained.W[chunk] = W[: len(chunk)].cpu().numpy()
    trained.b[chunk] = b[: len(chunk)].cpu().numpy()


def _packed_models(plan: _Plan, chunk: Integers) -> PackedModels:
    points, copies = chunk // plan.replicas, chunk % plan.replicas
    n, m, protocol = plan.n_features, plan.n_hidden, plan.protocol
    if plan.initial is None:
        W = standard_normals(_keys(plan, points, copies, WEIGHTS), m, n)
        W = W * protocol.weight_init.standard_deviation(n, m)
        b = standard_normals(_keys(plan, points, copies, BIASES), 1, n)[:, 0]
        b = b * protocol.bias_init.standard_deviation(n, m)
    else:
        W, b = (values[chunk] for values in plan.initial)
    penalty = plan.penalty[points]

    def tensor(values: Floats) -> torch.Tensor:
        return torch.as_tensor(values, device=plan.device).to(plan.dtype)

    return PackedModels(
        W=tensor(W),
        b=tensor(b),
        importance=tensor(plan.importance[points]),
        penalty=tensor(penalty) if plan.penalty.any() else None,
        activation=plan.activation,
        batch_size=protocol.batch_size,
        scale=1.0 if protocol.reduction == "sum" else 1.0 / n,
    )


def _keys(plan: _Plan, points: Integers, copies: Integers, stream: int) -> torch.Tensor:
    index, replica = (
        torch.as_tensor(values, device=plan.device) for values in (plan.model_index[points], copies)
    )
    return model_keys(plan.seed, index, replica, stream)


def _default_chunk_size(plan: _Plan, workers: int) -> int:
    entries = _CHUNK_ENTRIES_CPU if plan.device.type == "cpu" else _CHUNK_ENTRIES_GPU
    most = max(1, entries // (plan.n_features * plan.protocol.batch_size))
    # Chunks of equal size, as many as keep all workers busy to the end.
    rounds = -(-plan.n_models // (most * workers))
    return max(1, -(-plan.n_models // (rounds * workers)))


def _available_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _recorded_steps(steps: int, every: int | None) -> Integers:
    every = every or max(1, steps // _DEFAULT_RECORDS)
    return np.union1d(np.arange(0, steps, every), [steps - 1]).astype(np.int64)


def _check_integer(name: str, value: int, at_least: int | None) -> None:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or (at_least is not None and value < at_least):
        bound = "" if at_least is None else f" of at least {at_least}"
        raise ValueError(f"{name} must be an integer{bound}, got {value!r}")


def _broadcast(name: str, values: Floats, shape: tuple[int, ...]) -> Floats:
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to shape {shape}, got shape {values.shape}"
        ) from None


def _model_index(model_index: ArrayLike | None, grid: tuple[int, ...]) -> Integers:
    if model_index is None:
        return np.arange(int(np.prod(grid)), dtype=np.int64)
    values = np.asarray(model_index)
    if values.dtype.kind not in "iu":
        raise ValueError(f"model_index must be integers, got {model_index!r}")
    return _broadcast("model_index", values, grid).reshape(-1).astype(np.int64)


def _initial(
    initial: tuple[ArrayLike, ArrayLike] | None, models: tuple[int, ...], m: int, n: int
) -> tuple[Floats, Floats] | None:
    if initial is None:
        return None
    W, b = (np.asarray(values, dtype=np.float64) for values in initial)
    for name, values in (("initial W", W), ("initial b", b)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got a NaN or infinite entry")
    return (
        _broadcast("initial W", W, (*models, m, n)).reshape(-1, m, n),
        _broadcast("initial b", b, (*models, n)).reshape(-1, n),
    )


def _device(device: str | torch.device) -> torch.device:
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device {device!r} is not available: {error}") from error
    return chosen


def _dtype(dtype: torch.dtype) -> torch.dtype:
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
    return dtype
