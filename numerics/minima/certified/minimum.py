"""The global minimum of two features in one dimension, between two proved bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....model import check_penalty
from ...arguments import Floats, broadcast_parameters, check_integer
from ..multistart import global_minimum
from .boxes import Model, loss_at, workspace
from .cores import Core, cores_around
from .progress import Search
from .region import search_region

DEFAULT_MAX_BOXES = 400_000
STARTS = 48
FINEST = 1e-5  # a box of less than this along every side is not cut to tell minimizers apart
JOINED = 0.01  # what is left and closer than this is reported as one box
_SHARE_FOR_MINIMIZERS = 8  # one in so many boxes of the budget
_ON_THE_EDGE = 1e-3  # where W₁ is below this, both signs of W are in the search region


@dataclass(frozen=True)
class Minimizers:
    """A box that may hold global minimizers; together with its symmetric copies.

    Attributes
    ----------
    W : ndarray of shape (2, 1, 2)
        Lower and upper ends of the weights.
    b : ndarray of shape (2, 2)
        Lower and upper ends of the biases.
    at_most_one : bool
        Whether the loss is proved to be convex around, so that this is at most one minimizer.
    """

    W: Floats
    b: Floats
    at_most_one: bool

    @property
    def lengths(self) -> Floats:
        """Ends of the lengths |W₁| and |W₂|, shape (2, 2)."""
        low, high = self.W[:, 0]
        return np.stack([np.maximum(0.0, np.maximum(low, -high)), np.maximum(-low, high)])

    @property
    def length_ratio(self) -> tuple[float, float]:
        """Ends of the length of the shorter column over that of the longer; NaN at W = 0."""
        least, most = self.lengths
        lower = min(least[0] / most[1], least[1] / most[0])
        upper = max(min(1.0, most[0] / least[1]), 0.0) if least[1] > 0.0 else 1.0
        other = max(min(1.0, most[1] / least[0]), 0.0) if least[0] > 0.0 else 1.0
        return float(lower), float(min(upper, other))

    @property
    def sign(self) -> int:
        """Sign of W₁W₂, or 0 if the box holds more than one."""
        low, high = self.W[:, 0]
        products = np.outer([low[0], high[0]], [low[1], high[1]])
        return 1 if (products > 0.0).all() else -1 if (products < 0.0).all() else 0


@dataclass(frozen=True)
class CertifiedMinimum:
    """Proved bounds of the global minimum.

    Attributes
    ----------
    lower, upper : float
        The minimum over all weights and biases lies between them.
    W : ndarray of shape (1, 2)
    b : ndarray of shape (2,)
        A model whose loss is at most `upper`.
    rtol : float
        The relative gap that was asked for.
    minimizers : tuple of Minimizers
        Every global minimizer is in one of these boxes, or is a symmetric copy of such a one: of
        opposite sign, or with the features exchanged if they are alike. Empty if the loss is 0.
    boxes : int
        How many boxes were bounded.
    """

    lower: float
    upper: float
    W: Floats
    b: Floats
    rtol: float
    minimizers: tuple[Minimizers, ...]
    boxes: int

    @property
    def gap(self) -> float:
        """What is open, (upper − lower)/upper; 0 if the minimum is 0."""
        return (self.upper - self.lower) / self.upper if self.upper > 0.0 else 0.0

    @property
    def certified(self) -> bool:
        """Whether the gap is at most `rtol`."""
        return self.gap <= self.rtol

    @property
    def unique(self) -> bool:
        """Whether the global minimizer is proved to be one up to symmetry."""
        return len(self.minimizers) == 1 and self.minimizers[0].at_most_one


def point_model(importance: Floats, density: Floats, penalty: float) -> Model:
    """Return the model with these numbers, taken as exact."""
    first, second = (float(x) for x in importance)
    one, other = (float(x) for x in density)
    return Model(((first, first), (second, second)), ((one, one), (other, other)), penalty)


def _single(points: Floats) -> Floats:
    """Round the weights of points (W₁, W₂, b₁, b₂) to single precision, and make W₁ ≥ 0."""
    points = np.array(points, dtype=np.float64)
    points[:, :2] = points[:, :2].astype(np.float32)
    points[points[:, 0] < 0.0, :2] *= -1.0
    return points


def _copies(points: Floats, alike: bool) -> Floats:
    """Add the symmetric copies that are in the search region too."""
    if alike:
        points = np.concatenate([points, _single(points[:, [1, 0, 3, 2]])])
    edge = points[points[:, 0] < _ON_THE_EDGE] * [-1.0, -1.0, 1.0, 1.0]
    return np.concatenate([points, edge])


def _candidates(importance: Floats, density: Floats, penalty: float) -> Floats:
    """Return local minima, and the two models that drop a feature, as (W₁, W₂, b₁, b₂)."""
    found = global_minimum(
        2, 1, density=density, importance=importance, penalty=penalty, starts=STARTS
    )
    minima = [np.concatenate([m.W[0], m.b]) for m in found.minima]
    dropped = [[1.0, 0.0, 0.0, density[1] / 2], [0.0, 1.0, density[0] / 2, 0.0]]
    return _single(np.array([*minima, *dropped]))


def _touch(box: Floats, others: Floats, slack: float = 0.0) -> NDArray[np.bool_]:
    """Tell which of the other boxes have a point in common with a box, or nearly."""
    near = (others[..., 0] <= box[:, 1] + slack) & (others[..., 1] >= box[:, 0] - slack)
    return np.asarray(near.all(axis=-1))


def _hull(boxes: Floats) -> Floats:
    return np.stack([boxes[..., 0].min(axis=0), boxes[..., 1].max(axis=0)], axis=-1)


def _clusters(boxes: Floats, cores: Sequence[Core]) -> list[tuple[Floats, bool]]:
    """Join what is left and close to hulls; whether each holds at most one minimizer."""
    clusters = []
    around = np.array([core.box for core in cores]).reshape(-1, 4, 2)
    inside = np.array([core.minimizer for core in cores]).reshape(-1, 4, 2)
    reach = np.concatenate([around, boxes])
    content = np.concatenate([inside, boxes])
    while len(reach):
        chosen = np.zeros(len(reach), dtype=bool)
        chosen[0] = True
        while True:
            grown = _touch(_hull(reach[chosen]), reach, JOINED)
            if (grown == chosen).all():
                break
            chosen = grown | chosen
        single = bool(chosen.sum() == 1) and len(reach) > len(boxes)
        clusters.append((_hull(content[chosen]), single))
        n_cores = len(reach) - len(boxes)
        boxes = boxes[~chosen[n_cores:]]
        reach, content = reach[~chosen], content[~chosen]
    return clusters


def _images(box: Floats, alike: bool) -> Floats:
    """Return the symmetric copies of a box, itself among them."""
    flipped = box.copy()
    flipped[:2] = -box[:2, ::-1]
    images = [box, flipped]
    if alike:
        images += [image[[1, 0, 3, 2]] for image in images]
    return np.array(images)


def _distinct(
    clusters: list[tuple[Floats, bool]], cores: Sequence[Core], alike: bool
) -> list[tuple[Floats, bool]]:
    """Drop the clusters that hold a copy of the minimizer of another at most.

    A box that has an image inside of a core holds a copy of the one minimizer of that core.
    """
    kept: list[tuple[Floats, bool]] = []
    held: list[Floats] = []  # the cores that kept clusters of one minimizer are about
    for box, single in clusters:
        images = _images(box, alike)
        if single:
            if any(_is_inside(image, core) for image in images for core in held):
                continue
            held += [core.box for core in cores if _is_inside(box, core.minimizer)]
        kept.append((box, single))
    return kept


def _is_inside(box: Floats, other: Floats) -> bool:
    return bool((other[:, 0] <= box[:, 0]).all() and (box[:, 1] <= other[:, 1]).all())


def _report(box: Floats, single: bool, order: Sequence[int]) -> Minimizers:
    W, b = box[:2][list(order)].T, box[2:][list(order)].T
    return Minimizers(W[:, np.newaxis].copy(), b.copy(), single)


def best_known(importance: Floats, density: Floats, penalty: float) -> tuple[Floats, float, Floats]:
    """Return the best known point (W₁, W₂, b₁, b₂), a bound of its loss, and all known minima."""
    model, work = point_model(importance, density, penalty), workspace()
    points = _candidates(importance, density, penalty)
    losses = [loss_at(point, model, work.moments)[1] for point in points]
    return points[int(np.argmin(losses))], min(losses), points


def _zero_loss(importance: Floats, density: Floats, rtol: float) -> CertifiedMinimum:
    """Return the model that reconstructs the feature that matters; the other is off, or free."""
    kept = int(np.argmax((importance > 0.0) & (density > 0.0)))
    return CertifiedMinimum(0.0, 0.0, np.eye(2)[[kept]], np.zeros(2), rtol, (), 0)


def certified_minimum(
    *,
    density: ArrayLike,
    importance: ArrayLike,
    penalty: float = 0.0,
    rtol: float = 1e-6,
    max_boxes: int = DEFAULT_MAX_BOXES,
) -> CertifiedMinimum:
    """Enclose the global minimum of a ReLU model of two features in one dimension.

    Minimizes Σ_i I_i E (x_i − x̂_i)² + 2 λ (W₁W₂)² over all W in ℝ² and b in ℝ², for independent
    uniform features, by branch and bound in interval arithmetic.

    Parameters
    ----------
    density : float or array_like of shape (2,)
    importance : array_like of shape (2,)
    penalty : float
        λ.
    rtol : float
        The relative gap between the bounds at which the search ends.
    max_boxes : int
        The number of boxes after which it gives up.

    Returns
    -------
    CertifiedMinimum
        With `certified` false, and the remaining `gap`, if the budget did not suffice.

    Raises
    ------
    ValueError
        If an argument is out of range or describes more than one model, or if rounding hides that
        a dropped feature costs less than a dead output: with I_i s_i below about 10⁻¹⁵ of the
        other's, or densities that low which do not pay for superposition.

    Notes
    -----
    The bounds are proved for the numbers given, which are floats: density 0.1 is the float next
    to 1/10. What is proved, and how, stands in `docs/certified-minimum.md` and at the top of the
    modules of this folder.

    Examples
    --------
    >>> best = certified_minimum(density=0.05, importance=[1, 1])
    >>> best.certified, best.unique, best.minimizers[0].sign
    (True, True, -1)
    """
    _, density, importance = broadcast_parameters(2, density, importance)
    if density.ndim != 1:
        raise ValueError(f"certified_minimum takes one model, got a batch of {density.shape[:-1]}")
    if check_penalty(penalty).ndim:
        raise ValueError(f"penalty must be one number, got {penalty!r}")
    penalty = float(penalty)
    if not rtol > 0.0:
        raise ValueError(f"rtol must be positive, got {rtol}")
    check_integer("max_boxes", max_boxes, at_least=1)
    if min(importance.min(), density.min()) == 0.0:
        return _zero_loss(importance, density, rtol)
    order = (0, 1) if importance[0] * density[0] >= importance[1] * density[1] else (1, 0)
    return _certify(importance[list(order)], density[list(order)], penalty, rtol, max_boxes, order)


def _certify(
    importance: Floats,
    density: Floats,
    penalty: float,
    rtol: float,
    max_boxes: int,
    order: Sequence[int],
) -> CertifiedMinimum:
    model, work = point_model(importance, density, penalty), workspace()
    alike = bool(importance[0] == importance[1] and density[0] == density[1])
    best, known, points = best_known(importance, density, penalty)
    cores = cores_around(_copies(points, alike), model, work)
    search = Search(model, known, work, alike=alike, cores=cores)
    try:
        start = search_region(importance, density, known)[np.newaxis]
    except ValueError as error:
        raise ValueError(
            "rounding hides the minimum of this model: importance · density has to be above "
            f"about 10⁻¹⁵ of the largest one, or nothing is bounded; got {importance * density}"
        ) from error
    tight = known * (1.0 - rtol / 2.0)
    boxes, bounds = search.run(start, np.zeros(1), tight, max_boxes, 0.0)
    lower = min([known, *bounds])
    if lower >= tight:  # the value is settled; which boxes hold it may be told more closely
        budget = search.bounded + max_boxes // _SHARE_FOR_MINIMIZERS
        boxes, bounds = search.run(boxes, bounds, math.inf, budget, FINEST)
        lower = max(lower, min([known, *bounds]))
    entered = [core for core, used in zip(cores, search.entered, strict=True) if used]
    holding = [core for core in entered if core.lower <= known]
    lower = min([lower, *(core.lower for core in holding)])
    clusters = _distinct(_clusters(boxes, holding), holding, alike)
    return CertifiedMinimum(
        max(0.0, float(lower)),
        float(known),
        best[:2][list(order)][np.newaxis],
        best[2:][list(order)],
        rtol,
        tuple(_report(box, single, order) for box, single in clusters),
        search.bounded,
    )
