"""Training without noise: the optimizers of `train` on the gradient of the population loss.

With the same protocol and seed a model starts where `train` starts it, so that the two differ in
the noise of the batches alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...architecture import TIED
from ...features import FeatureDistribution, check_features
from ...model import check_penalty, check_sizes
from ..arguments import Floats, broadcast_parameters, broadcast_to_grid, check_integer
from ..compiled import compiled
from ..loss.laws import Laws, Workspace
from ..loss.model_rows import ModelRows, in_threads, model_rows
from ..loss.one_model import model_loss_and_gradient
from ..sampling.random_words import BIASES, WEIGHTS, model_keys, standard_normals
from .named_protocols import resolve_protocol
from .plan import initial_parameters, parameter_shapes
from .protocols import Protocol

__all__ = ["PopulationTraining", "initial_weights", "train_on_population"]

Integers = NDArray[np.int64]

_DIVERGED_ABOVE = 100.0  # as in `train`
_DEFAULT_RECORDS = 20

# Codes of the update rules in compiled code.
_SGD: Final = 0
_ADAM: Final = 1
_RMSPROP: Final = 2
_RULES: Final = {"sgd": _SGD, "adam": _ADAM, "adamw": _ADAM, "rmsprop": _RMSPROP}


@dataclass(frozen=True)
class PopulationTraining:
    """Models trained on the population gradient, one per (grid point, replica).

    Attributes
    ----------
    W : ndarray of shape (..., replicas, n_hidden, n_features)
    b : ndarray of shape (..., replicas, n_features)
    loss : ndarray of shape (..., replicas)
        Exact population loss at the end.
    gradient_norm : ndarray of shape (..., replicas)
        Euclidean norm of its gradient at the end.
    loss_history : ndarray of shape (..., replicas, recorded)
        Exact loss before the update of each recorded step; a sum over features, whatever the
        protocol's reduction. A model that has stopped keeps its last loss.
    recorded_steps : ndarray of int, shape (recorded,)
        Counted from 0.
    W_history : ndarray of shape (..., replicas, recorded, n_hidden, n_features)
    b_history : ndarray of shape (..., replicas, recorded, n_features)
        Before the update of each recorded step; with ``recorded`` 0 unless asked for.
    stopped_at : ndarray of int, shape (..., replicas)
        Updates that were made: the protocol's steps, or fewer where training stopped early.
    diverged : ndarray of bool, shape (..., replicas)
        A weight or bias is not finite or exceeds 100, where training ended.
    protocol : Protocol
    seed : int
    """

    W: Floats
    b: Floats
    loss: Floats
    gradient_norm: Floats
    loss_history: Floats
    recorded_steps: Integers
    W_history: Floats
    b_history: Floats
    stopped_at: Integers
    diverged: NDArray[np.bool_]
    protocol: Protocol
    seed: int


def initial_weights(
    protocol: str | Protocol,
    n_features: int,
    n_hidden: int,
    *,
    models: int = 1,
    replicas: int = 1,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Return the starts of `train`, before they are rounded to its dtype.

    Parameters
    ----------
    protocol : str or Protocol
    n_features, n_hidden : int
    models : int
        Grid points, of index 0 to models − 1.
    replicas, seed : int

    Returns
    -------
    W : ndarray of shape (models, replicas, n_hidden, n_features)
    b : ndarray of shape (models, replicas, n_features)

    Examples
    --------
    >>> W, b = initial_weights("annealed", 2, 1, replicas=3)
    >>> W.shape, b.shape
    ((1, 3, 1, 2), (1, 3, 2))
    """
    check_sizes(n_features, n_hidden)
    protocol = resolve_protocol(protocol)
    point, replica = (
        torch.from_numpy(indices.reshape(-1)) for indices in np.indices((models, replicas))
    )
    W, b = (
        standard_normals(model_keys(seed, point, replica, stream), lines, n_features)
        * law.standard_deviation(n_features, n_hidden)
        for stream, lines, law in (
            (WEIGHTS, n_hidden, protocol.weight_init),
            (BIASES, 1, protocol.bias_init),
        )
    )
    return (
        W.reshape(models, replicas, n_hidden, n_features),
        b.reshape(models, replicas, n_features),
    )


@compiled
def _update(
    rule: int,
    x: Floats,
    gradient: Floats,
    first: Floats,
    second: Floats,
    rate: float,
    steps_done: int,
    constants: Floats,
) -> None:
    """Update the parameters `x` by the rule of `torch.optim`; `first` and `second` are its state.

    `constants` are momentum, two betas, alpha, eps and weight decay.
    """
    momentum, beta1, beta2, alpha, eps, weight_decay = constants
    correction1 = 1.0 - beta1 ** (steps_done + 1)
    correction2 = np.sqrt(1.0 - beta2 ** (steps_done + 1))
    for k in range(x.shape[0]):
        x[k] *= 1.0 - rate * weight_decay
        if rule == _SGD:
            first[k] = momentum * first[k] + gradient[k]
            x[k] -= rate * first[k]
        elif rule == _ADAM:
            first[k] = beta1 * first[k] + (1.0 - beta1) * gradient[k]
            second[k] = beta2 * second[k] + (1.0 - beta2) * gradient[k] * gradient[k]
            x[k] -= rate / correction1 * first[k] / (np.sqrt(second[k]) / correction2 + eps)
        else:
            second[k] = alpha * second[k] + (1.0 - alpha) * gradient[k] * gradient[k]
            first[k] = momentum * first[k] + gradient[k] / (np.sqrt(second[k]) + eps)
            x[k] -= rate * first[k]


@compiled
def _train_one(
    x: Floats,
    m: int,
    density: Floats,
    importance: Floats,
    penalty: float,
    linear: bool,
    laws: Laws | None,
    model: int,
    rule: int,
    constants: Floats,
    reduction: float,
    rates: Floats,
    target: float,
    patience: int,
    progress: float,
    recorded_steps: Integers,
    loss_history: Floats,
    x_history: Floats,
    work: Workspace,
) -> tuple[float, float, int]:
    """Train one model; overwrite `x`, which holds W and then b.

    Returns loss, gradient norm and number of updates. `reduction` multiplies the gradient.
    """
    d = x.shape[0]
    n = density.shape[0]
    mn = m * n
    gram = np.empty((n, n))
    dgram = np.empty((n, n))
    gradient = np.empty(d)
    first = np.zeros(d)
    second = np.zeros(d)
    recorded = 0
    reference = np.inf  # loss at the last look
    step = 0
    while True:
        loss = model_loss_and_gradient(
            x[:mn].reshape(m, n), x[mn:], density, importance, penalty, linear, laws, model,
            gradient[:mn].reshape(m, n), gradient[mn:], gram, dgram, work,
        )  # fmt: skip
        total = 0.0
        for k in range(d):
            total += gradient[k] * gradient[k]
        norm = np.sqrt(total)
        if recorded < recorded_steps.shape[0] and recorded_steps[recorded] == step:
            loss_history[recorded] = loss
            if x_history.shape[0] > 0:
                x_history[recorded] = x
            recorded += 1
        if step == rates.shape[0] or norm <= target or not loss < np.inf:
            break
        if patience > 0 and step % patience == 0:
            if reference < np.inf and reference - loss <= progress * reference:
                break
            reference = loss
        for k in range(d):
            gradient[k] *= reduction
        _update(rule, x, gradient, first, second, rates[step], step, constants)
        step += 1
    for left in range(recorded, recorded_steps.shape[0]):
        loss_history[left] = loss
        if x_history.shape[0] > 0:
            x_history[left] = x
    return loss, norm, step


@compiled
def _train_rows(
    x: Floats,
    m: int,
    density: Floats,
    importance: Floats,
    penalty: Floats,
    linear: bool,
    laws: Laws | None,
    rule: int,
    constants: Floats,
    reduction: float,
    rates: Floats,
    target: Floats,
    patience: int,
    progress: float,
    recorded_steps: Integers,
    loss_history: Floats,
    x_history: Floats,
    work: Workspace,
    loss: Floats,
    norm: Floats,
    stopped_at: Integers,
) -> None:
    for row in range(x.shape[0]):
        loss[row], norm[row], stopped_at[row] = _train_one(
            x[row], m, density[row], importance[row], penalty[row], linear, laws, row, rule,
            constants, reduction, rates, target[row], patience, progress, recorded_steps,
            loss_history[row], x_history[row], work,
        )  # fmt: skip


def train_on_population(
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
    initial: tuple[ArrayLike, ArrayLike] | None = None,
    record_steps: ArrayLike | None = None,
    record_weights: bool = False,
    tolerance: float = 0.0,
    patience: int | None = None,
    progress: float = 1e-9,
    workers: int | None = None,
) -> PopulationTraining:
    """Train by the protocol on the exact gradient of the population loss: no data, no noise.

    Parameters
    ----------
    n_features, n_hidden : int
    density : array_like, shape (...) or (..., n_features)
    importance : array_like, shape (..., n_features)
    activation, features
        As in `population_loss`.
    penalty : array_like, broadcast to the grid
        Interference penalty λ ≥ 0.
    protocol : str or Protocol
        As in `train`; its batch size is not used.
    replicas, seed : int
        As in `train`: a replica starts where `train` starts it with the same seed.
    initial : pair of array_like, optional
        W and b to start from instead; they broadcast to the shapes of the result.
    record_steps : array_like of int, optional
        When to record the trajectory, between 0, the start, and the protocol's number of steps,
        the end; about 20 steps by default.
    record_weights : bool
        Whether to record W and b beside the loss.
    tolerance : float
        A model stops when its gradient norm is below `tolerance` · Σ_i I_i s_i; never at 0.
    patience : int, optional
        A model stops when its loss has not fallen by the share `progress` within so many steps;
        never by default. A slow saddle looks like the end of training to this rule.
    progress : float
        In [0, 1).
    workers : int, optional
        Threads. The result does not depend on it, nor on which models are trained together.

    Raises
    ------
    ValueError
        If a shape does not fit, a value is out of range, densities do not belong to `features`, or
        a name is unknown.

    Examples
    --------
    >>> result = train_on_population(2, 1, density=0.1, importance=[1, 1], replicas=4)
    >>> result.W.shape, bool((result.loss < result.loss_history[:, 0]).all())
    ((4, 1, 2), True)
    """
    check_sizes(n_features, n_hidden)
    chosen = resolve_protocol(protocol)
    if chosen.plateau is not None:
        raise ValueError(
            f"the plateau of a protocol is a rule for noisy losses, got {chosen.plateau!r}; "
            "use patience= and progress= here, with plateau=None"
        )
    check_integer("seed", seed)
    check_integer("replicas", replicas, at_least=1)
    if patience is not None:
        check_integer("patience", patience, at_least=1)
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be finite and at least 0, got {tolerance!r}")
    if not 0 <= progress < 1:
        raise ValueError(f"progress must be in [0, 1), got {progress!r}")
    grid = broadcast_parameters(n_features, density, importance, features=check_features(features))
    penalty = broadcast_to_grid("penalty", check_penalty(penalty), grid.shape)
    rows = model_rows(
        *_starts(chosen, n_hidden, n_features, grid.shape, replicas, seed, initial),
        density=grid.density[..., np.newaxis, :],
        importance=grid.importance[..., np.newaxis, :],
        activation=activation,
        features=features,
        penalty=penalty[..., np.newaxis],
    )
    steps = _recorded_steps(chosen.steps, record_steps)
    return _train_all(
        rows, chosen, seed, steps, record_weights, tolerance, patience or 0, progress, workers
    )


def _starts(
    protocol: Protocol,
    m: int,
    n: int,
    grid: tuple[int, ...],
    replicas: int,
    seed: int,
    initial: tuple[ArrayLike, ArrayLike] | None,
) -> tuple[Floats, Floats]:
    if initial is None:
        points = int(np.prod(grid))
        W, b = initial_weights(protocol, n, m, models=points, replicas=replicas, seed=seed)
        return W.reshape(*grid, replicas, m, n), b.reshape(*grid, replicas, n)
    W, b = initial_parameters(initial, (*grid, replicas), parameter_shapes(n, m, TIED))
    return W, b


def _recorded_steps(steps: int, wanted: ArrayLike | None) -> Integers:
    if wanted is None:
        every = max(1, steps // _DEFAULT_RECORDS)
        return np.union1d(np.arange(0, steps, every), [steps]).astype(np.int64)
    recorded = np.asarray(wanted).reshape(-1)
    if recorded.dtype.kind not in "iu" or (recorded < 0).any() or (recorded > steps).any():
        raise ValueError(f"record_steps must be integers between 0 and {steps}, got {wanted!r}")
    return np.unique(recorded).astype(np.int64)


def _train_all(
    rows: ModelRows,
    protocol: Protocol,
    seed: int,
    recorded_steps: Integers,
    record_weights: bool,
    tolerance: float,
    patience: int,
    progress: float,
    workers: int | None,
) -> PopulationTraining:
    count, m, n = rows.W.shape
    x = np.concatenate([rows.W.reshape(count, m * n), rows.b], axis=1)
    recorded = len(recorded_steps)
    loss_history = np.empty((count, recorded))
    x_history = np.empty((count, recorded if record_weights else 0, x.shape[1]))
    loss, norm, stopped_at = np.empty(count), np.empty(count), np.empty(count, np.int64)
    rates = np.array([protocol.learning_rate_at(step) for step in range(protocol.steps)])
    # No norm is below −1: where all gradients vanish, momentum and weight decay still move weights.
    target = tolerance * rows.scale if tolerance else np.full(count, -1.0)
    reduction = 1.0 if protocol.reduction == "sum" else 1.0 / n
    constants = np.array(
        [protocol.momentum, *protocol.betas, protocol.alpha, protocol.eps, protocol.weight_decay]
    )

    def task(part: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # where models diverge
            _train_rows(
                x[part], m, rows.density[part], rows.importance[part], rows.penalty[part],
                rows.linear, rows.laws(part), _RULES[protocol.optimizer], constants, reduction,
                rates, target[part], patience, progress, recorded_steps, loss_history[part],
                x_history[part], rows.workspace(), loss[part], norm[part], stopped_at[part],
            )  # fmt: skip

    in_threads(task, count, workers)
    shape, kept = rows.shape, x_history.shape[1]
    return PopulationTraining(
        W=x[:, : m * n].reshape(*shape, m, n),
        b=x[:, m * n :].reshape(*shape, n),
        loss=loss.reshape(shape),
        gradient_norm=norm.reshape(shape),
        loss_history=loss_history.reshape(*shape, recorded),
        recorded_steps=recorded_steps,
        W_history=x_history[..., : m * n].reshape(*shape, kept, m, n),
        b_history=x_history[..., m * n :].reshape(*shape, kept, n),
        stopped_at=stopped_at.reshape(shape),
        diverged=~(abs(x).max(axis=1) <= _DIVERGED_ABOVE).reshape(shape),
        protocol=protocol,
        seed=int(seed),
    )
