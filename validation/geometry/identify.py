"""Name the polytopes that the features of a model form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from ...theory import feature_dimensionality
from .matching import Match, match_shape
from .separation import Separation, largest_noise, length_cut, numerical_rank, separations
from .shapes import parts_of, shapes_with, whole_of

__all__ = [
    "ACCEPTED_RESIDUAL",
    "Component",
    "Geometry",
    "RunnerUp",
    "accepted_digon",
    "identify_geometry",
    "name_rate",
]

Floats = NDArray[np.float64]

ACCEPTED_RESIDUAL: Final = 0.1
"""Largest residual with a name, for three features and more.

Three random directions in the plane are as near to a triangle with probability
2 π 0.04 / (4 √3 π²) = 0.0037, and random groups of more features to their shapes more rarely
(`tests/validation/geometry/test_identify.py` measures it).
"""

_DIGON_FLOOR: Final = 0.02
_DIGON_CHANCE: Final = 0.0037

_DEDICATED: Final = "dedicated"
_DIGON: Final = "digon"


def accepted_digon(n_hidden: int) -> float:
    """Return the largest residual with which two features in n_hidden dimensions are a digon.

    1 + cos is quadratic in the angle from opposite, and chance brings two directions near to
    opposite the more easily, the fewer dimensions there are. Accepted is what random directions
    reach with the probability of the triangle, but at least 0.02 (11.5°, which in the plane they
    reach with probability 0.064), because trained digons are not straight, and at most
    `ACCEPTED_RESIDUAL` (26°). For an angle θ that probability is half the regularized incomplete
    beta function of sin² θ at ((m − 1)/2, 1/2).

    Examples
    --------
    >>> accepted_digon(2), round(accepted_digon(5), 3), accepted_digon(30)
    (0.02, 0.071, 0.1)
    """
    if n_hidden == 1:
        return ACCEPTED_RESIDUAL
    squared_sine = betaincinv(0.5 * (n_hidden - 1), 0.5, 2 * _DIGON_CHANCE)
    chance = 1 - np.sqrt(1 - squared_sine)
    return float(np.clip(chance, _DIGON_FLOOR, ACCEPTED_RESIDUAL))


@dataclass(frozen=True)
class RunnerUp:
    """The shape that fits second best, and its residual."""

    name: str
    residual: float


@dataclass(frozen=True)
class Component:
    """Features that share dimensions.

    Attributes
    ----------
    features : tuple of int
    name : str
        Of the shape, or "unnamed (k features in d dimensions)".
    dimensions : int
        Numerical rank; of a named component that of its shape.
    residual : float
        Root mean square difference, over all pairs of features, of their cosines from those of
        the nearest shape's corners, by the best permutation (`gram_distance`). NaN where there is
        no shape of that many corners.
    lengths, dimensionality : tuple of float
        ‖W_i‖, and D_i in the whole model.
    nearest : str or None
        The nearest shape, whether or not it is near enough for the name.
    runner_up : RunnerUp or None
        The next shape with as many corners; None where there is only one.
    """

    features: tuple[int, ...]
    name: str
    dimensions: int
    residual: float
    lengths: tuple[float, ...]
    dimensionality: tuple[float, ...]
    nearest: str | None
    runner_up: RunnerUp | None

    @property
    def named(self) -> bool:
        """Whether the nearest shape is near enough."""
        return self.name == self.nearest


@dataclass(frozen=True)
class Geometry:
    """What the features of a model form.

    Attributes
    ----------
    name : str
        Such as "2 × digon + triangle", "pentagon", "octahedron" or "digon + dedicated,
        3 dropped". Sums in three dimensions have the name of the whole, where all features
        together are as near to it as a component has to be: three digons are an octahedron, a
        triangle and a digon are a triangular bipyramid. "overlapping" is added where the
        components need more dimensions than they have together.
    components : tuple of Component
        In the order of their first features.
    dropped : tuple of int
        Features shorter than `threshold`.
    n_hidden : int
    rank : int
        Dimensions that the represented features span, beyond noise as strong as the cross-talk.
    tolerance : float
        Features are joined where ``|cos|`` exceeds it.
    cross_talk : float
        Root mean square cosine between features of different components.
    threshold : float
        Length from which features are represented.
    """

    name: str
    components: tuple[Component, ...]
    dropped: tuple[int, ...]
    n_hidden: int
    rank: int
    tolerance: float
    cross_talk: float
    threshold: float

    @property
    def named(self) -> bool:
        """Whether every component has a name and they do not overlap."""
        return all(component.named for component in self.components) and not self.overlapping

    @property
    def overlapping(self) -> bool:
        """Whether components need more dimensions than they have, so that they share some."""
        return sum(component.dimensions for component in self.components) > self.rank

    @property
    def residual(self) -> float:
        """Largest residual of the components; 0 without any, NaN where one has no shape."""
        return float(np.max([component.residual for component in self.components], initial=0.0))

    def __str__(self) -> str:
        """Return the name and how far to trust it."""
        features = sum(len(component.features) for component in self.components)
        return (
            f"{self.name}: {features} features in {self.rank} of {self.n_hidden} dimensions, "
            f"residual {self.residual:.2g}, cross-talk {self.cross_talk:.2g} "
            f"(tolerance {self.tolerance:.2g})"
        )

    def _repr_html_(self) -> str:
        rows = "".join(_row(group) for group in _alike(self.components))
        head = "".join(
            f"<th>{title}</th>"
            for title in ("components", "features", "dimensions", "residual", "runner-up")
        )
        return f"<p>{escape(str(self))}</p><table><tr>{head}</tr>{rows}</table>"


def identify_geometry(
    W: ArrayLike,
    *,
    tolerance: float | None = None,
    threshold: float | None = None,
    accept: float = ACCEPTED_RESIDUAL,
) -> Geometry:
    """Name the polytope, or the direct sum of polytopes, that the columns of W point to.

    Features are represented from a length that the lengths themselves give (`length_cut`), and
    fall into components that no coupling joins (`separations`). The unit vectors of a component are
    compared with every shape of the theory's catalogue that has as many corners: digon, triangle,
    tetrahedron, simplices, polygons up to twelve corners, cube, square antiprism (tight and
    uniform), bipyramids. Lengths do not enter, nor does any rotation of the hidden space. As large
    simplices are near to each other and to orthogonal features, they need more for their name: all
    corners, and no feature that is none.

    Parameters
    ----------
    W : array_like, shape (n_hidden, n_features)
        Weights of one model.
    tolerance : float, optional
        Join features where ``|cos|`` exceeds it, in (0, 1). None derives it from W.
    threshold : float, optional
        Length from which a feature is represented, positive. None derives it from W.
    accept : float
        Largest residual with a name; for digons no more than `accepted_digon`.

    Returns
    -------
    Geometry

    Raises
    ------
    ValueError
        If W is no matrix of real, finite numbers, or another argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> geometry = identify_geometry([[1, -0.99, 0.01, 0], [0, 0.02, 1.1, 0]])
    >>> geometry.name
    'digon + dedicated, 1 dropped'
    >>> [component.features for component in geometry.components]
    [(0, 1), (2,)]
    >>> angles = 2 * np.pi * np.arange(5) / 5
    >>> pentagon = identify_geometry([np.cos(angles), np.sin(angles)])
    >>> pentagon.name, pentagon.residual < 1e-12, pentagon.components[0].runner_up.name
    ('pentagon', True, 'triangular bipyramid')
    """
    weights = _read(W)
    _check_options(tolerance, threshold, accept)
    lengths, units = _polar(weights)
    cut = length_cut(lengths) if threshold is None else threshold
    present = np.flatnonzero((lengths >= cut) & (lengths > 0))
    units = units[:, present]
    model = _Model(
        weights.shape[0],
        units,
        present,
        tuple(np.setdiff1d(np.arange(weights.shape[1]), present).tolist()),
        lengths,
        np.asarray(feature_dimensionality(weights)),
        float(cut),
    )
    ways = separations(units, tolerance)
    first = _geometry(model, next(ways), accept)
    others = (_geometry(model, way, accept) for way in ways if not first.named)
    return next((geometry for geometry in others if geometry.named), first)


@dataclass(frozen=True, eq=False)
class _Model:
    """What is known before components are: unit columns and places of the represented features."""

    n_hidden: int
    units: Floats
    present: NDArray[np.intp]
    dropped: tuple[int, ...]
    lengths: Floats
    dimensionality: Floats
    threshold: float


def _geometry(model: _Model, separation: Separation, accept: float) -> Geometry:
    noise = largest_noise(separation.cross_talk, model.units.shape)
    components = tuple(_component(model, group, separation, accept) for group in separation.groups)
    rank = numerical_rank(model.units, noise)
    overlapping = sum(component.dimensions for component in components) > rank
    whole = None if overlapping else _whole(model.units, components, accept)
    return Geometry(
        _name(components, whole, len(model.dropped), overlapping),
        components,
        model.dropped,
        model.n_hidden,
        rank,
        separation.tolerance,
        separation.cross_talk,
        model.threshold,
    )


def _read(W: ArrayLike) -> Floats:
    try:
        given = np.asarray(W)
        if np.iscomplexobj(given):
            raise ValueError("it has complex entries")
        weights = given.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"W must be a rectangular array of real numbers: {error}") from None
    if weights.ndim != 2 or 0 in weights.shape:
        raise ValueError(
            f"W must be the weights of one model, of shape (n_hidden, n_features), got shape "
            f"{weights.shape}; of several replicas pass one, such as that of the lowest loss"
        )
    if not np.isfinite(weights).all():
        raise ValueError(
            f"W must be finite, got {np.count_nonzero(~np.isfinite(weights))} entries that are "
            f"NaN or infinite; leave out models that have diverged"
        )
    return weights


def _polar(weights: Floats) -> tuple[Floats, Floats]:
    """Return lengths and unit columns, each scaled by its largest entry: nothing underflows."""
    scales = np.abs(weights).max(axis=0)
    scaled = weights / np.where(scales > 0, scales, 1.0)
    norms = np.linalg.norm(scaled, axis=0)
    return norms * scales, scaled / np.where(norms > 0, norms, 1.0)


def _check_options(tolerance: float | None, threshold: float | None, accept: float) -> None:
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(
            f"tolerance is a cosine in (0, 1), got {tolerance}; None derives it from W"
        )
    if threshold is not None and not 0 < threshold < np.inf:
        raise ValueError(f"threshold is a positive length, got {threshold}; None derives it from W")
    if not 0 < accept < np.inf:
        raise ValueError(f"accept must be positive, got {accept}; {ACCEPTED_RESIDUAL} is usual")


def _component(
    model: _Model, group: tuple[int, ...], separation: Separation, accept: float
) -> Component:
    members = list(group)
    features = model.present[members]
    units = model.units[:, members]
    matches = _matches(units)
    best = matches[0] if matches else None
    allowed = min(accept, accepted_digon(len(units))) if len(members) == 2 else accept
    if (
        best is not None
        and best.residual <= allowed
        and _distinct(best, model.units, members, separation)
    ):
        name, dimensions = best.name, best.dimensions
    else:
        noise = largest_noise(separation.cross_talk, model.units.shape)
        dimensions = numerical_rank(units, noise)
        name = _unnamed(len(members), dimensions)
    return Component(
        tuple(features.tolist()),
        name,
        dimensions,
        best.residual if best else float("nan"),
        tuple(model.lengths[features].tolist()),
        tuple(model.dimensionality[features].tolist()),
        best.name if best else None,
        RunnerUp(matches[1].name, matches[1].residual) if len(matches) > 1 else None,
    )


def _distinct(match: Match, units: Floats, members: list[int], separation: Separation) -> bool:
    """Tell whether a simplex cannot be one of more or fewer corners, which noise hides or adds."""
    if match.dimensions < 3 or len(match.corners) != match.dimensions + 1:
        return True
    coupling = 1 / match.dimensions
    # Orthogonal features are this far from it, and two simplices side by side a little farther.
    if match.residual >= coupling or not _corners_are(units, members):
        return False
    return match.dimensions < 4 or coupling >= separation.weakest_simplex


def _corners_are(units: Floats, members: list[int]) -> bool:
    """Tell whether a simplex has these corners, all of them and no others.

    Corners sum to zero. The product of a corner with the sum of the others is −1, that of a feature
    that is none 0: whether it is counted as a member or not, half way is the farthest from both.
    """
    others = np.delete(np.arange(units.shape[1]), members)
    sum_ = units[:, members].sum(axis=1)
    own, left_out = sum_ @ units[:, members] - 1, sum_ @ units[:, others]
    return bool((own <= -0.5).all() and (left_out > -0.5).all())


def _unnamed(features: int, dimensions: int) -> str:
    plural = "" if dimensions == 1 else "s"
    return f"unnamed ({features} features in {dimensions} dimension{plural})"


def _matches(units: Floats) -> list[Match]:
    """Match every shape, the nearest first; of shapes with one name only the nearer."""
    nearest: dict[str, Match] = {}
    for shape in shapes_with(units.shape[1]):
        match = match_shape(units, shape)
        if match.name not in nearest or match.residual < nearest[match.name].residual:
            nearest[match.name] = match
    return sorted(nearest.values(), key=lambda match: match.residual)


def _whole(units: Floats, components: Iterable[Component], accept: float) -> str | None:
    """Return the name of a sum in three dimensions, if all features together are near to it."""
    name = whole_of(part for component in components for part in parts_of(component.name))
    near = name is not None and any(
        match.name == name and match.residual <= accept for match in _matches(units)
    )
    return name if near else None


def _name(
    components: Iterable[Component], whole: str | None, dropped: int, overlapping: bool
) -> str:
    sizes: dict[str, int] = {}
    counts: Counter[str] = Counter()
    for component in components:
        parts = parts_of(component.name)
        for part in parts:
            counts[part] += 1
            # Of the summands of a shape all but one at most are digons.
            corners = 2 if part == _DIGON else len(component.features) - 2 * (len(parts) - 1)
            sizes[part] = corners
    name = whole or " + ".join(_phrases(counts, sizes)) or "nothing represented"
    return (
        name + (", overlapping" if overlapping else "") + (f", {dropped} dropped" * bool(dropped))
    )


def _phrases(counts: Counter[str], sizes: dict[str, int]) -> list[str]:
    """Polytopes by size, then dedicated features, then what has no name."""

    def order(name: str) -> tuple[bool, bool, int, str]:
        return name.startswith("unnamed"), name == _DEDICATED, sizes[name], name

    return [
        name if counts[name] == 1 else f"{counts[name]} × {name}"
        for name in sorted(counts, key=order)
    ]


def _alike(components: Iterable[Component]) -> list[list[Component]]:
    groups: dict[str, list[Component]] = {}
    for component in components:
        groups.setdefault(component.name, []).append(component)
    return sorted(groups.values(), key=len, reverse=True)


def _row(group: list[Component]) -> str:
    worst = max(group, key=lambda component: component.residual)
    runner_up = worst.runner_up
    cells = (
        f"{len(group)} × {group[0].name}",
        str(len(worst.features)),
        str(worst.dimensions),
        f"{worst.residual:.2g}",
        f"{runner_up.name}, {runner_up.residual:.2g}" if runner_up else "",
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def name_rate(n_features: int, n_hidden: int, *, draws: int = 200, seed: int = 0) -> float:
    """Return the share of random models of a size that get names for all their features.

    W is standard normal. What is named of trained weights has to be seen against it: small models
    have few ways to be different from a shape. Two random directions in the plane are taken for
    two dedicated features whenever they are 14.5° or less from orthogonal, which happens in one
    case of six.

    Parameters
    ----------
    n_features, n_hidden : int
    draws : int
    seed : int

    Returns
    -------
    float

    Examples
    --------
    >>> name_rate(5, 2, draws=20)
    0.0
    """
    generator = np.random.default_rng(seed)
    models = generator.standard_normal((draws, n_hidden, n_features))
    return float(np.mean([identify_geometry(W).named for W in models]))
