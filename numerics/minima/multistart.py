"""Global minima by many starts, and the distinct local minima that the starts end in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, GateKind, check_features
from ...model import check_activation, check_sizes
from ..arguments import Floats, broadcast_parameters, check_integer
from .descent import Descent, descend

DEFAULT_STARTS = 256
_SAME_LOSS = 1e-7  # relative; descents end within about 1e-13 of their minimum
_SAME_SHAPE = 1e-4  # in the entries of WᵀW and b; soft directions converge last
_ZERO = 1e-16  # a loss below this share of Σ I_i s_i is zero; a converged one is below about 1e-19


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
    curvature : float, optional
        The least curvature of the loss there, if it was asked for (`numerics.curvature`).
    kind : str, optional
        "minimum", "saddle" or "degenerate", if it was asked for.
    """

    W: Floats
    b: Floats
    loss: float
    gradient_norm: float
    count: int
    curvature: float | None = None
    kind: str | None = None


@dataclass(frozen=True)
class GlobalMinimum:
    """The lowest minimum found, and all distinct ones in order of loss.

    Attributes
    ----------
    minima : tuple of Minimum
        Distinct minima. W and QW for orthogonal Q are one, and so are copies with interchangeable
        features exchanged: of equal density and importance, and in gates that are alike. With
        symmetric values, so are W_i and −W_i.
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

    def _repr_html_(self) -> str:
        """Return a table of the minima, for notebooks."""
        rows = "".join(
            f"<tr><td>{minimum.loss:.9g}</td><td>{minimum.count / self.starts:.1%}</td>"
            f"<td>{minimum.kind or ''}</td><td><pre>{_on_page(minimum.W)}</pre></td>"
            f"<td><pre>{_on_page(minimum.b)}</pre></td></tr>"
            for minimum in self.minima
        )
        heads = "".join(f"<th>{head}</th>" for head in ("loss", "starts", "kind", "W", "b"))
        left = f"{self.unconverged} of {self.starts} starts did not converge"
        return f"<table><caption>{left}</caption><tr>{heads}</tr>{rows}</table>"


def _on_page(values: Floats) -> str:
    return np.array2string(values, precision=4, suppress_small=True)


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
        If a size or `count` is no integer of at least 1, or `seed` none of at least 0.

    Examples
    --------
    >>> W, b = random_starts(3, 2, count=5)
    >>> bool((W[:2] == random_starts(3, 2, count=2)[0]).all())
    True
    """
    check_sizes(n_features, n_hidden)
    check_integer("the number of starts", count, at_least=1)
    check_integer("seed", seed, at_least=0)
    draws = np.random.default_rng(seed).standard_normal((count, n_hidden, n_features))
    return draws / np.sqrt(n_hidden), np.zeros((count, n_features))


def is_dead(
    W: ArrayLike, b: ArrayLike, features: FeatureDistribution | None = None
) -> NDArray[np.bool_]:
    """Tell which outputs of a ReLU model are zero for every input.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
    features : feature distribution, optional
        Which inputs there are; None is `Independent`: all of [0, 1]^n.

    Returns
    -------
    ndarray of bool, shape (..., n_features)
        Whether the maximum of (WᵀW x + b)_i over the inputs is at most 0.

    Examples
    --------
    >>> is_dead([[1, 0]], [0, -0.1])
    array([False,  True])
    """
    W = np.asarray(W, dtype=np.float64)
    features = check_features(features)
    gram = np.swapaxes(W, -1, -2) @ W
    reach = abs(gram) if features.values.symmetric else np.maximum(gram, 0.0)
    highest = np.zeros(reach.shape[:-1]) + np.asarray(b)
    for gate in features.gates(W.shape[-1]):
        own = reach[..., list(gate.members)]
        highest += own.sum(axis=-1) if gate.kind is GateKind.TOGETHER else own.max(axis=-1)
    return np.asarray(highest <= 0.0)


@dataclass(frozen=True)
class _Symmetry:
    """Which features are interchangeable, and which pairs of them.

    Attributes
    ----------
    classes : ndarray of int, shape (n_features,)
    shared : ndarray of bool, shape (n_features, n_features)
        Whether two features are members of one gate.
    features : FeatureDistribution
    """

    classes: NDArray[np.int64]
    shared: NDArray[np.bool_]
    features: FeatureDistribution


def _symmetry(density: Floats, importance: Floats, features: FeatureDistribution) -> _Symmetry:
    """Call features interchangeable that agree in density, importance, and those of their gate."""
    n = len(density)
    shared = np.zeros((n, n), dtype=bool)
    keys: dict[int, tuple[object, ...]] = {}
    for gate in features.gates(n):
        company = sorted((float(density[j]), float(importance[j])) for j in gate.members)
        shared[np.ix_(gate.members, gate.members)] = True
        for j in gate.members:
            keys[j] = (float(density[j]), float(importance[j]), gate.kind.value, *company)
    names = sorted(set(keys.values()), key=repr)
    classes = np.array([names.index(keys[j]) for j in range(n)], dtype=np.int64)
    return _Symmetry(classes, shared, features)


def _signature(W: Floats, b: Floats, symmetry: _Symmetry) -> Floats:
    """Numbers that symmetric copies share: sorted entries of WᵀW and b within each class.

    Sorting is continuous, so that nearby models have nearby signatures. The bias of a dead output
    has no effect, and the signature leaves it out. Where values are symmetric, so is the loss
    under W_i → −W_i, and couplings count by their size.
    """
    classes = symmetry.classes
    gram = W.T @ W
    diagonal = np.diag(gram)
    if symmetry.features.values.symmetric:
        gram = abs(gram)
    bias = np.where(is_dead(W, b, symmetry.features), -1.0, b)
    parts = []
    for kind in np.unique(classes):
        own = classes == kind
        parts += [np.sort(bias[own]), np.sort(diagonal[own]), np.sort(bias[own] + diagonal[own])]
    for first, second in combinations_with_replacement(np.unique(classes), 2):
        pairs = (classes == first)[:, None] & (classes == second) & ~np.eye(len(b), dtype=bool)
        parts += [np.sort(gram[pairs & side]) for side in (symmetry.shared, ~symmetry.shared)]
    return np.concatenate(parts)


def distinct_minima(
    descent: Descent,
    density: Floats,
    importance: Floats,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> tuple[Minimum, ...]:
    """Group the converged descents of one model into distinct minima, lowest loss first.

    Parameters
    ----------
    descent : Descent
        With one leading axis, the starts.
    density, importance : ndarray of shape (n_features,)
        Features that agree in both are interchangeable, if `features` treats them alike.
    activation : {"relu", "linear"}
    features : feature distribution, optional
        None is `Independent`.
    """
    symmetry = _symmetry(density, importance, check_features(features))
    zero = _ZERO * float(density @ importance)
    relu = check_activation(activation) == "relu"
    groups: list[tuple[Floats, list[int]]] = []  # signature, indices into the descents
    for k in np.argsort(descent.loss, kind="stable"):
        if not descent.converged[k]:
            continue
        # Equal minima of a linear model are one connected set: any rotation within a degenerate
        # eigenspace of the second moments costs nothing. The loss alone tells them apart.
        signature = _signature(descent.W[k], descent.b[k], symmetry) if relu else np.empty(0)
        for known, members in reversed(groups):
            lowest = descent.loss[members[0]]
            if descent.loss[k] - lowest > _SAME_LOSS * lowest + zero:
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
            None if descent.curvature is None else float(descent.curvature[best]),
            None if descent.kind is None else str(descent.kind[best]),
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
    certify: bool = False,
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
    certify : bool
        Whether to compute the least curvature and the kind of every minimum, and to descend on
        from saddles. Without it, points that attract descent are among the minima although a
        narrow cone of directions leads down from them: see `curvature`.

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
    shape, density, importance = broadcast_parameters(
        n_features, density, importance, np.shape(penalty), check_features(features)
    )
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
        certify=certify,
    )
    minima = distinct_minima(descent, density, importance, activation, features)
    if not minima:
        raise RuntimeError(f"none of {starts} descents converged; try more starts")
    return GlobalMinimum(minima, starts, int((~descent.converged).sum()))
