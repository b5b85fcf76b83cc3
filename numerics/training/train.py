"""Stochastic gradient training of many models at once, on data sampled for each of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...architecture import Architecture, resolve_architecture
from ...features import FeatureDistribution, check_features
from ...model import check_activation, check_penalty, check_sizes
from ..arguments import broadcast_parameters, broadcast_to_grid, check_integer
from .checkpoints import Checkpoint, configuration_of
from .fused_engine import FusedEngine
from .named_protocols import resolve_protocol
from .plan import (
    Engine,
    TrainingPlan,
    initial_parameters,
    parameter_shapes,
    split_parameters,
)
from .protocols import Protocol
from .run import carry_out
from .state import TrainingState
from .torch_engine import TorchEngine

__all__ = ["DIVERGED_ABOVE", "TrainingResult", "train"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DIVERGED_ABOVE = 100.0
"""A weight or bias beyond this counts as exploded: optima have entries of order 1."""

_ENGINES: Final = ("auto", "fused", "torch")

# Losses are recorded about this many times unless the caller says otherwise.
_DEFAULT_RECORDS = 20


@dataclass(frozen=True)
class TrainingResult:
    """Trained models, one per (grid point, replica).

    Attributes
    ----------
    W : ndarray of float64, shape (..., replicas, n_hidden, n_features)
        The encoder.
    V : ndarray of float64, shape (..., replicas, n_features, n_hidden)
        The decoder: the transpose of W where the architecture is tied.
    b : ndarray of float64, shape (..., replicas, n_features)
    loss_history : ndarray of float64, shape (..., replicas, n_recorded)
        Loss on the batch of each recorded step, before that step's update: a sum over features and
        a mean over the batch, whatever the protocol's reduction, with the interference penalty.
        A sample, of a few hundred examples: judge trained models by `population_loss`.
    recorded_steps : ndarray of int64, shape (n_recorded,)
        Counted from 0; the first and the last step are among them.
    W_history : ndarray of float64, shape (..., replicas, n_snapshots, n_hidden, n_features)
    V_history : ndarray of float64, shape (..., replicas, n_snapshots, n_features, n_hidden)
    b_history : ndarray of float64, shape (..., replicas, n_snapshots, n_features)
        Weights and biases after the numbers of updates that `record_weights` asked for.
    weight_steps : ndarray of int64, shape (n_snapshots,)
        Those numbers: 0 is the start, the protocol's number of steps is the end.
    stopped_at : ndarray of int64, shape (..., replicas)
        Updates that were made: fewer than the protocol's steps where a plateau ended training.
        Losses of later steps are NaN, later weights those of the end.
    diverged : ndarray of bool, shape (..., replicas)
        A weight or bias is not finite or exceeds `DIVERGED_ABOVE` in absolute value. W, V and b
        of such a model are returned as they are.
    architecture : Architecture
    protocol : Protocol
    seed : int
    """

    W: Floats
    V: Floats
    b: Floats
    loss_history: Floats
    recorded_steps: Integers
    W_history: Floats
    V_history: Floats
    b_history: Floats
    weight_steps: Integers
    stopped_at: Integers
    diverged: NDArray[np.bool_]
    architecture: Architecture
    protocol: Protocol
    seed: int


def train(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    architecture: str | Architecture = "tied",
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
    protocol: str | Protocol = "annealed",
    replicas: int = 1,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    model_index: ArrayLike | None = None,
    initial: Sequence[ArrayLike] | None = None,
    record_every: int | None = None,
    record_weights: int | ArrayLike | None = None,
    engine: str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 60.0,
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
    architecture : str or Architecture
        A name of `ARCHITECTURES`, or a specification: whether the decoder is tied to the encoder,
        the activation of the hidden layer, and the target, x or |x|. The protocol's `weight_init`
        draws a decoder of its own like the encoder, from another stream of random numbers.
    activation : {"relu", "linear"}
        Of the outputs.
    features : feature distribution, optional
        What inputs are drawn from; None is `Independent`, with values uniform on [0, 1].
    penalty : array_like, broadcast to the grid
        Interference penalty λ ≥ 0; 0 for any architecture but "tied".
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
        W and b to start from instead of the protocol's draw, or W, V and b for an architecture
        that is not tied; they broadcast to the shapes of the result.
    record_every : int, optional
        Steps between recorded losses; by default such that about 20 are recorded.
    record_weights : int or array_like of int, optional
        Record the weights every so many updates, and at the end; or after the given numbers of
        updates, of 0 to the protocol's number of steps. Takes 8 (m + 1) n bytes per model and
        recorded step, or 8 (2 m + 1) n with a decoder of its own, which have to fit into memory.
    engine : {"auto", "fused", "torch"}
        "fused" trains every model by itself in compiled code, on CPUs only; "torch" trains packs of
        models by operations of torch, on any device. Both see the same starts and the same data,
        and round differently. "auto" is "fused" on CPUs, and "torch" elsewhere.
    checkpoint : path, optional
        A file that holds the state of training meanwhile and in the end. Where it exists, training
        goes on from there, and gives to the last bit what it would have given in one go on the same
        machine. A file that is anything else is refused and left as it is.
    checkpoint_every : float
        Seconds between two saves, above 0.
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
        If a shape does not fit, a value is out of range, densities do not belong to `features`, a
        name is unknown, recorded weights do not fit into memory, or `checkpoint` is a file that is
        damaged, belongs to another configuration, or is no checkpoint.

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

    Two hidden dimensions learn |x| of one feature; its values have either sign.

    >>> from superposition import Independent, ValueDistribution
    >>> signed = Independent(ValueDistribution([1], symmetric=True))
    >>> result = train(1, 2, density=1, importance=[1], features=signed,
    ...     architecture="absolute-value", replicas=4)
    >>> result.W.shape, result.V.shape
    ((4, 2, 1), (4, 1, 2))
    >>> best = result.loss_history[:, -1].argmin()
    >>> bool(result.W[best, 0, 0] * result.W[best, 1, 0] < 0)  # one for each sign
    True
    """
    check_sizes(n_features, n_hidden)
    features = check_features(features)
    chosen, model = resolve_protocol(protocol), resolve_architecture(architecture)
    check_integer("seed", seed)
    for name, count in (
        ("replicas", replicas),
        ("record_every", record_every),
        ("chunk_size", chunk_size),
        ("workers", workers),
    ):
        if count is not None or name == "replicas":
            check_integer(name, count, at_least=1)
    parameters = broadcast_parameters(n_features, density, importance, features=features)
    grid = parameters.shape
    plan = TrainingPlan(
        protocol=chosen,
        architecture=model,
        activation=check_activation(activation),
        seed=int(seed),
        replicas=int(replicas),
        n_hidden=int(n_hidden),
        features=features,
        density=parameters.density.reshape(-1, n_features),
        importance=parameters.importance.reshape(-1, n_features),
        penalty=_penalty(penalty, model, grid),
        model_index=_model_index(model_index, grid),
        initial=_initial(initial, (*grid, replicas), parameter_shapes(n_features, n_hidden, model)),
        recorded_steps=_recorded_steps(chosen.steps, record_every),
        weight_steps=_weight_steps(chosen.steps, record_weights),
        device=_device(device),
        dtype=_dtype(dtype),
    )
    _check_memory(plan)
    name = _engine_name(engine, plan.device)
    chosen_engine: Engine = FusedEngine(plan) if name == "fused" else TorchEngine(plan)
    state = carry_out(
        plan,
        chosen_engine,
        chunk_size=chunk_size,
        workers=workers or (_available_cpus() if plan.device.type == "cpu" else 1),
        progress=progress,
        checkpoint=_checkpoint(plan, name, checkpoint, checkpoint_every),
    )
    return _result(plan, state, grid)


def _result(plan: TrainingPlan, state: TrainingState, grid: tuple[int, ...]) -> TrainingResult:
    shape = (*grid, plan.replicas)
    final = state.parameters.astype(np.float64)
    with np.errstate(invalid="ignore"):
        bounded = abs(final).max(axis=1) <= DIVERGED_ABOVE
    end = _unpacked(plan, final, shape)
    history = _unpacked(plan, state.snapshots, (*shape, len(plan.weight_steps)))
    return TrainingResult(
        W=end["W"],
        V=end["V"],
        b=end["b"],
        loss_history=state.losses.reshape(*shape, len(plan.recorded_steps)),
        recorded_steps=plan.recorded_steps,
        W_history=history["W"],
        V_history=history["V"],
        b_history=history["b"],
        weight_steps=plan.weight_steps,
        stopped_at=state.stopped_at.reshape(shape),
        diverged=~bounded.reshape(shape),
        architecture=plan.architecture,
        protocol=plan.protocol,
        seed=plan.seed,
    )


def _unpacked(plan: TrainingPlan, rows: Floats, shape: tuple[int, ...]) -> dict[str, Floats]:
    """Return W, V and b with these leading dimensions."""
    named: dict[str, Floats] = split_parameters(rows.reshape(*shape, rows.shape[-1]), plan.shapes)
    return {"V": named["W"].swapaxes(-1, -2), **named}


def _available_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _recorded_steps(steps: int, every: int | None) -> Integers:
    every = every or max(1, steps // _DEFAULT_RECORDS)
    return np.union1d(np.arange(0, steps, every), [steps - 1]).astype(np.int64)


def _weight_steps(steps: int, wanted: int | ArrayLike | None) -> Integers:
    if wanted is None:
        return np.empty(0, dtype=np.int64)
    values = np.asarray(wanted)
    if values.dtype.kind not in "iu":
        raise ValueError(f"record_weights must be integers, got {wanted!r}")
    if values.ndim == 0:
        check_integer("record_weights", int(values), at_least=1)
        return np.union1d(np.arange(0, steps, int(values)), [steps]).astype(np.int64)
    if ((values < 0) | (values > steps)).any():
        raise ValueError(
            f"record_weights must be numbers of updates from 0 to {steps}, the steps of the "
            f"protocol, got {wanted!r}"
        )
    return np.unique(values).astype(np.int64)


def _check_memory(plan: TrainingPlan) -> None:
    size = sum(prod(shape) for shape in plan.shapes.values())
    needed = 8 * size * plan.n_models * len(plan.weight_steps)
    if needed > _physical_memory():
        raise ValueError(
            f"record_weights={len(plan.weight_steps)} steps of {plan.n_models} models take "
            f"{needed / 1e9:.1f} GB, more than the {_physical_memory() / 1e9:.1f} GB of this "
            f"machine; record fewer steps, or train the grid in parts with model_index"
        )


def _physical_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _engine_name(engine: str, device: torch.device) -> str:
    if engine not in _ENGINES:
        raise ValueError(f"engine must be one of {', '.join(_ENGINES)}, got {engine!r}")
    if engine == "fused" and device.type != "cpu":
        raise ValueError(
            f"engine 'fused' runs on the CPU only, got device {str(device)!r}; use 'torch' or 'auto'"
        )
    if engine == "auto":
        return "fused" if device.type == "cpu" else "torch"
    return engine


def _penalty(penalty: ArrayLike, architecture: Architecture, grid: tuple[int, ...]) -> Floats:
    values = check_penalty(penalty)
    if values.any() and not architecture.is_standard:
        raise ValueError(
            f"penalty is of the architecture 'tied' only and must be 0 for {architecture.name!r}, "
            f"got {penalty!r}"
        )
    return broadcast_to_grid("penalty", values, grid).reshape(-1)


def _checkpoint(
    plan: TrainingPlan, engine: str, path: str | Path | None, every: float
) -> Checkpoint | None:
    if not 0 < every < math.inf:
        raise ValueError(f"checkpoint_every must be a finite number above 0, got {every!r}")
    if path is None:
        return None
    return Checkpoint(Path(path), configuration_of(plan, engine), every)


def _model_index(model_index: ArrayLike | None, grid: tuple[int, ...]) -> Integers:
    if model_index is None:
        return np.arange(int(np.prod(grid)), dtype=np.int64)
    values = np.asarray(model_index)
    if values.dtype.kind not in "iu":
        raise ValueError(f"model_index must be integers, got {model_index!r}")
    return broadcast_to_grid("model_index", values, grid).reshape(-1).astype(np.int64)


def _initial(
    initial: Sequence[ArrayLike] | None,
    models: tuple[int, ...],
    shapes: dict[str, tuple[int, ...]],
) -> tuple[Floats, ...] | None:
    if initial is None:
        return None
    parameters = initial_parameters(initial, models, shapes)
    return tuple(
        values.reshape(-1, *shape)
        for values, shape in zip(parameters, shapes.values(), strict=True)
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
