"""Global minima by many starts, and the distinct local minima that the starts end in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..features import FeatureDistribution
from ..model import check_activation, check_sizes
from .arguments import Floats, broadcast_parameters
from .descent import Descent, descend

DEFAULT_STARTS = 256
_SAME_LOSS = 1e-7  # relative; descents end within about 1e-13 of their minimum
_SAME_SHAPE = 1e-4  # in the entries of WᵀW and b; soft directions converge last
_TINY = 1e-30  # losses below this are zero: perfect reconstruction


@dataclass(frozen=True)
class Minimum:
    """One local minimum, up to the symmetries of the loss.

    Attributes
    ----------
    W : ndarray of shape (n_hidden, n_features)
    b : ndarray of shape (n_features,)
    loss : float
    gradient_norm : float
    count : int
        How many starts ended here or in a symmetric copy.
    """

    W: Floats
    b: Floats
    loss: float
    gradient_norm: float
    count: int


@dataclass(frozen=True)
class GlobalMinimum:
    """The lowest minimum found, and all distinct ones in order of loss.

    Attributes
    ----------
    minima : tuple of Minimum
        Distinct minima. W and QW for orthogonal Q are one, and so are copies with features of
        equal density and importance exchanged.
    starts : int
        Number of starts, the sum of the counts and `unconverged`.
    unconverged : int
        Starts whose descent did not reach the gradient tolerance; they are not among `minima`.
    """

    minima: tuple[Minimum, ...]
    starts: int
    unconverged: int

    @property
    def W(self) -> Floats:
        """Weights of the lowest minimum, shape (n_hidden, n_features)."""
        return self.minima[0].W

    @property
    def b(self) -> Floats:
        """Biases of the lowest minimum, shape (n_features,)."""
        return self.minima[0].b

    @property
    def loss(self) -> float:
        """Loss of the lowest minimum."""
        return self.minima[0].loss

    @property
    def gradient_norm(self) -> float:
        """Norm of the exact gradient at the lowest minimum."""
        return self.minima[0].gradient_norm


def random_starts(
    n_features: int, n_hidden: int, count: int, seed: int = 0
) -> tuple[Floats, Floats]:
    """Draw starting points: W ~ N(0, 1/n_hidden), so that columns have length about 1, and b = 0.

    More starts from the same seed begin with the same ones.

    Returns
    -------
    W : ndarray of shape (count, n_hidden, n_features)
    b : ndarray of shape (count, n_features)

    Raises
    ------
    ValueError
        If a size or `count` is below 1.

    Examples
    --------
    >>> W, b = random_starts(3, 2, count=5)
    >>> bool((W[:2] == random_starts(3, 2, count=2)[0]).all())
    True
    """
    check_sizes(n_features, n_hidden)
    if count < 1:
        raise ValueError(f"the number of starts must be at least 1, got {count}")
    draws = np.random.default_rng(seed).standard_normal((count, n_hidden, n_features))
    return draws / np.sqrt(n_hidden), np.zeros((count, n_features))


def is_dead(W: ArrayLike, b: ArrayLike) -> NDArray[np.bool_]:
    """Tell which outputs of a ReLU model are zero for every input.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)

    Returns
    -------
    ndarray of bool, shape (..., n_features)
        Whether max over x in [0, 1]^n of (WᵀW x + b)_i is at most 0.

    Examples
    --------
    >>> is_dead([[1, 0]], [0, -0.1])
    array([False,  True])
    """
    W = np.asarray(W, dtype=np.float64)
    gram = np.swapaxes(W, -1, -2) @ W
    highest: Floats = np.maximum(gram, 0.0).sum(axis=-1) + np.asarray(b)
    return highest <= 0.0


def _signature(W: Floats, b: Floats, classes: NDArray[np.int64]) -> Floats:
    """Numbers that symmetric copies share: sorted entries of WᵀW and b within each class.

    Sorting is continuous, so that nearby models have nearby signatures. The bias of a dead output
    has no effect, and the signature leaves it out.
    """
    gram = W.T @ W
    bias = np.where(is_dead(W, b), -1.0, b)
    parts = []
    for kind in np.unique(classes):
        members = classes == kind
        diagonal = np.diag(gram)[members]
        parts += [np.sort(bias[members]), np.sort(diagonal), np.sort(bias[members] + diagonal)]
    for first, second in combinations_with_replacement(np.unique(classes), 2):
        block = gram[np.ix_(classes == first, classes == second)]
        if first == second:
            block = block[~np.eye(len(block), dtype=bool)]
        parts.append(np.sort(block, axis=None))
    return np.concatenate(parts)


def distinct_minima(
    descent: Descent, density: Floats, importance: Floats, activation: str = "relu"
) -> tuple[Minimum, ...]:
    """Group the converged descents of one model into distinct minima, lowest loss first.

    Parameters
    ----------
    descent : Descent
        With one leading axis, the starts.
    density, importance : ndarray of shape (n_features,)
        Features that agree in both are interchangeable.
    activation : {"relu", "linear"}
    """
    pairs = np.stack([density, importance], axis=-1)
    classes = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    relu = check_activation(activation) == "relu"
    groups: list[tuple[Floats, list[int]]] = []  # signature, indices into the descents
    for k in np.argsort(descent.loss, kind="stable"):
        if not descent.converged[k]:
            continue
        # Equal minima of a linear model are one connected set: any rotation within a degenerate
        # eigenspace of the second moments costs nothing. The loss alone tells them apart.
        signature = _signature(descent.W[k], descent.b[k], classes) if relu else np.empty(0)
        for known, members in reversed(groups):
            lowest = descent.loss[members[0]]
            if descent.loss[k] - lowest > _SAME_LOSS * lowest + _TINY:
                continue
            if np.allclose(signature, known, rtol=0.0, atol=_SAME_SHAPE):
                members.append(int(k))
                break
        else:
            groups.append((signature, [int(k)]))
    return tuple(
        Minimum(
            descent.W[best],
            descent.b[best],
            float(descent.loss[best]),
            float(descent.gradient_norm[best]),
            len(members),
        )
        for _, members in groups
        for best in members[:1]
    )


def global_minimum(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: float = 0.0,
    starts: int = DEFAULT_STARTS,
    seed: int = 0,
) -> GlobalMinimum:
    """Search the global minimum of the exact population loss from many random starts.

    Parameters
    ----------
    n_features, n_hidden : int
    density : float or array_like of shape (n_features,)
    importance : array_like, shape (n_features,)
    activation, features, penalty
        As in `population_loss`.
    starts : int
        Number of random starts (`random_starts`).
    seed : int
        Seed of the starts; the result depends on nothing else that is random.

    Raises
    ------
    ValueError
        If an argument is out of range or describes more than one model.
    RuntimeError
        If no start converged.

    Notes
    -----
    A search gives no proof: the lowest minimum found is the global one unless every start missed
    its basin. The counts say how likely that is; a basin that holds a share p of the starts is
    missed with probability (1 − p)^starts.

    Examples
    --------
    >>> best = global_minimum(2, 1, density=0.1, importance=[1, 1], starts=32)
    >>> bool(best.W[0, 0] * best.W[0, 1] < 0)  # an antipodal pair
    True
    """
    check_sizes(n_features, n_hidden)
    shape, density, importance = broadcast_parameters(n_features, density, importance)
    if shape:
        raise ValueError(
            f"global_minimum takes one model, got a batch of shape {shape}; use descend for batches"
        )
    W, b = random_starts(n_features, n_hidden, starts, seed)
    descent = descend(
        W,
        b,
        density=density[np.newaxis],
        importance=importance[np.newaxis],
        activation=activation,
        features=features,
        penalty=penalty,
    )
    minima = distinct_minima(descent, density, importance, activation)
    if not minima:
        raise RuntimeError(f"none of {starts} descents converged; try more starts")
    return GlobalMinimum(minima, starts, int((~descent.converged).sum()))
