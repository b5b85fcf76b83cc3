"""Follow distinct minima from model to neighboring model, instead of searching each anew.

A local minimum moves continuously with density and importance until it disappears. What is known
at one model is therefore a start for the next, from which Newton's method needs a few steps, and
many starts in all directions are needed only where nothing is known yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features
from ..arguments import Floats, broadcast_parameters
from .descent import descend
from .multistart import is_dead, random_starts

KEPT = 6
_SAME_LOSS = 1e-7  # relative; as in `multistart`
_SAME_SHAPE = 1e-4  # in the entries of WᵀW and b


@dataclass(frozen=True)
class Branches:
    """The distinct minima of many models, the lowest first.

    Unlike in `GlobalMinimum`, symmetric copies other than rotations of W are minima of their own:
    where a symmetry ends, they part. Ends are not certified: a saddle that attracts descent is
    among them, as it is in a `GlobalMinimum` without certificate.

    Attributes
    ----------
    W : ndarray of shape (models, kept, n_hidden, n_features)
    b : ndarray of shape (models, kept, n_features)
    loss : ndarray of shape (models, kept)
        Infinite where there are fewer minima; W and b are those of the lowest one there.
    evaluations : ndarray of int, shape (models,)
        Losses with derivatives that were computed for the model.
    """

    W: Floats
    b: Floats
    loss: Floats
    evaluations: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which places hold a minimum, shape (models, kept)."""
        return np.isfinite(self.loss)

    def take(self, which: NDArray[np.int64]) -> Branches:
        """Return those of some of the models."""
        return Branches(self.W[which], self.b[which], self.loss[which], self.evaluations[which])


def shape_of(
    W: Floats, b: Floats, features: FeatureDistribution | None = None, *, alike: int = 1
) -> Floats:
    """Return numbers that rotations of W and free biases leave unchanged, shape (..., k).

    The entries of WᵀW on and above the diagonal, and the biases; that of a dead output has no
    effect and is replaced by −1. The first `alike` features are interchangeable, and what belongs
    to them is sorted: copies with these exchanged have one shape.

    Examples
    --------
    >>> shape_of(np.array([[1.0, 0.0]]), np.array([0.0, -0.3]))
    array([ 1.,  0.,  0.,  0., -1.])
    """
    gram = np.swapaxes(W, -1, -2) @ W
    bias = np.where(is_dead(W, b, features), -1.0, b)
    i, j = np.triu_indices(W.shape[-1])
    if alike == 1:
        return np.concatenate([gram[..., i, j], bias], axis=-1)
    # Sums keep together what sorting takes apart: which bias belongs to which column.
    diagonal = np.diagonal(gram, axis1=-2, axis2=-1)
    own = (diagonal, bias, diagonal + bias, *(gram[..., k, :] for k in range(alike, W.shape[-1])))
    inside = gram[..., i, j][..., (j < alike) & (i < j)]
    rest = gram[..., i, j][..., i >= alike]
    sorted_parts = [np.sort(part[..., :alike], axis=-1) for part in own]
    return np.concatenate(
        [*sorted_parts, np.sort(inside, axis=-1), rest, bias[..., alike:]], axis=-1
    )


def _distinct(loss: Floats, shapes: Floats, kept: int) -> NDArray[np.intp]:
    """Return which of the ends (models, ends) are the lowest distinct ones; −1 where no more."""
    left = np.isfinite(loss)
    chosen = np.full((len(loss), kept), -1)
    rows = np.arange(len(loss))
    for k in range(kept):
        some = left.any(axis=1)
        best = np.where(left, loss, np.inf).argmin(axis=1)
        chosen[some, k] = best[some]
        lowest, shape = loss[rows, best], shapes[rows, best]
        near = loss - lowest[:, np.newaxis] <= _SAME_LOSS * abs(lowest[:, np.newaxis])
        alike = abs(shapes - shape[:, np.newaxis]).max(axis=-1) <= _SAME_SHAPE
        left &= ~(near & alike)
        left[rows, best] = False
    return chosen


def follow(
    W: Floats,
    b: Floats,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    use: NDArray[np.bool_] | None = None,
    kept: int = KEPT,
    alike: int = 1,
    **model: Any,
) -> Branches:
    """Descend from several starts at each of many models, and keep the distinct minima.

    Parameters
    ----------
    W : ndarray of shape (models, starts, n_hidden, n_features)
    b : ndarray of shape (models, starts, n_features)
    density : array_like, shape (models,) or (models, n_features)
    importance : array_like, shape (models, n_features)
    use : ndarray of bool, shape (models, starts), optional
        Which starts there are; all by default.
    kept : int
        Greatest number of minima to keep for each model.
    alike : int
        How many of the first features are interchangeable, so that copies are one minimum.
    **model
        Further arguments of `descend`.

    Raises
    ------
    ValueError
        As `descend` does.

    Examples
    --------
    >>> W, b = random_starts(2, 1, count=16)
    >>> ends = follow(W[None], b[None], density=[0.3], importance=[[1, 1]])
    >>> int(ends.known.sum())  # an antipodal pair; two weights of one sign, and its mirror image
    3
    """
    models, starts = W.shape[:2]
    _, density, importance = broadcast_parameters(W.shape[-1], density, importance, (models,))
    use = np.ones((models, starts), dtype=bool) if use is None else use
    owner, start = np.nonzero(use)
    ends = descend(
        W[owner, start], b[owner, start], density=density[owner], importance=importance[owner],
        **model,
    )  # fmt: skip
    loss, evaluations = np.full((models, starts), np.inf), np.zeros(models, np.int64)
    loss[owner, start] = np.where(ends.converged, ends.loss, np.inf)
    np.add.at(evaluations, owner, ends.evaluations)
    end_W, end_b = W.copy(), b.copy()
    end_W[owner, start], end_b[owner, start] = ends.W, ends.b
    features = check_features(model.get("features"))
    chosen = _distinct(loss, shape_of(end_W, end_b, features, alike=alike), kept)
    rows = np.arange(models)[:, np.newaxis]
    there = np.where(chosen < 0, chosen[:, :1], chosen)
    return Branches(
        end_W[rows, there],
        end_b[rows, there],
        np.where(chosen < 0, np.inf, loss[rows, there]),
        evaluations,
    )


def search(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    starts: int = 32,
    seed: int = 0,
    **model: Any,
) -> Branches:
    """Search the distinct minima of many models from random starts; arguments as in `follow`.

    Examples
    --------
    >>> search(2, 1, density=[0.1, 0.3], importance=[[1, 1], [1, 1]]).known.sum(axis=1)
    array([3, 3])
    """
    shape, density, importance = broadcast_parameters(n_features, density, importance)
    W, b = random_starts(n_features, n_hidden, starts, seed)
    return follow(
        np.broadcast_to(W, (*shape, *W.shape)), np.broadcast_to(b, (*shape, *b.shape)),
        density=density, importance=importance, **model,
    )  # fmt: skip


def merge(*parts: Branches) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return all minima of the parts as starts for `follow`: W, b, and which of them there are."""
    return (
        np.concatenate([part.W for part in parts], axis=1),
        np.concatenate([part.b for part in parts], axis=1),
        np.concatenate([part.known for part in parts], axis=1),
    )
