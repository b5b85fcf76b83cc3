"""Which features are on together: the joint laws of sparse inputs that theory and numerics share.

An input is drawn in two steps. *Gates* decide which features are on: disjoint groups of features,
one independent draw for each group. Then every feature that is on gets a value, independently,
from one `ValueDistribution`. A feature's density is P(x_i ≠ 0) in every distribution; it is what
a phase diagram varies, and is passed beside the distribution.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .values import UNIFORM, ValueDistribution

__all__ = [
    "Anticorrelated",
    "CoActive",
    "Correlated",
    "FeatureDistribution",
    "Gate",
    "GateKind",
    "Independent",
    "OneHot",
    "check_features",
    "check_joint_density",
]


class GateKind(Enum):
    """How the members of a gate are switched."""

    TOGETHER = "all or none"
    AT_MOST_ONE = "at most one"
    EXACTLY_ONE = "exactly one"


@dataclass(frozen=True)
class Gate:
    """A group of features that are switched by one draw, independently of all other groups.

    Attributes
    ----------
    kind
        `TOGETHER`: all members are on, or none is; they have one density. `AT_MOST_ONE`: the
        members' densities sum to at most 1. `EXACTLY_ONE`: they sum to 1.
    members
        Indices of features, counted from 0.
    """

    kind: GateKind
    members: tuple[int, ...]

    @property
    def requirement(self) -> str:
        """What must hold of the members' densities, for messages."""
        listed = ", ".join(map(str, self.members))
        match self.kind:
            case GateKind.TOGETHER:
                return f"the features {listed} are on together, so their densities must be equal"
            case GateKind.AT_MOST_ONE:
                return (
                    f"at most one of the features {listed} is on, "
                    f"so their densities must sum to at most 1"
                )
            case GateKind.EXACTLY_ONE:
                return (
                    f"exactly one of the features {listed} is on, so their densities must sum to 1"
                )

    def states(self, density: Sequence[Any]) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Yield every set of members that can be on together, with its probability.

        `density` holds one number or expression for each of *all* features.

        Examples
        --------
        >>> list(Gate(GateKind.AT_MOST_ONE, (0, 2)).states([0.25, 1, 0.5]))
        [((), 0.25), ((0,), 0.25), ((2,), 0.5)]
        """
        if self.kind is GateKind.TOGETHER:
            on = density[self.members[0]]
            yield (), 1 - on
            yield self.members, on
            return
        if self.kind is GateKind.AT_MOST_ONE:
            yield (), 1 - sum(density[j] for j in self.members)
        for j in self.members:
            yield (j,), density[j]


@dataclass(frozen=True)
class FeatureDistribution(ABC):
    """What the inputs of a model are drawn from, apart from the densities.

    Attributes
    ----------
    values
        The law of a feature's value given that it is on.
    """

    values: ValueDistribution = UNIFORM

    @abstractmethod
    def gates(self, n_features: int) -> tuple[Gate, ...]:
        """Return the gates; every feature 0, …, n_features − 1 is a member of exactly one.

        Raises
        ------
        ValueError
            If the distribution names a feature that does not exist.
        """

    def is_independent(self, n_features: int) -> bool:
        """Say whether the features are on independently of each other."""
        return all(
            len(gate.members) == 1 and gate.kind is not GateKind.EXACTLY_ONE
            for gate in self.gates(n_features)
        )


@dataclass(frozen=True)
class Independent(FeatureDistribution):
    """Features that are on independently of each other.

    x_i = B_i U_i with B_i ~ Bernoulli(density_i) and U_i drawn from `values`, all independent.
    With the default values, uniform on [0, 1], it is the distribution of Elhage et al. 2022.

    Examples
    --------
    >>> Independent().gates(2)[1].members
    (1,)
    """

    def gates(self, n_features: int) -> tuple[Gate, ...]:
        """Return one gate for each feature."""
        return tuple(Gate(GateKind.TOGETHER, (j,)) for j in range(n_features))


@dataclass(frozen=True, init=False)
class _Grouped(FeatureDistribution):
    sets: tuple[tuple[int, ...], ...] = ()

    def __init__(self, sets: Iterable[Iterable[int]], values: ValueDistribution = UNIFORM) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "sets", _check_sets(sets))

    def _gates(self, kind: GateKind, n_features: int) -> tuple[Gate, ...]:
        highest = max((j for members in self.sets for j in members), default=-1)
        if highest >= n_features:
            raise ValueError(
                f"sets may name the features 0, …, {n_features - 1}, got {highest}; "
                f"features are counted from 0"
            )
        grouped = {j for members in self.sets for j in members}
        alone = (Gate(GateKind.TOGETHER, (j,)) for j in range(n_features) if j not in grouped)
        return (*(Gate(kind, members) for members in self.sets), *alone)


@dataclass(frozen=True, init=False)
class Correlated(_Grouped):
    """Sets of features that share one gate: all members of a set are on, or none is.

    Their values are independent. Features in no set are on independently. The members of a set
    must have one density.

    Parameters
    ----------
    sets
        Disjoint sets of features, counted from 0.
    values
        The law of a value.

    Raises
    ------
    ValueError
        If a set is empty, sets overlap, or an entry is no feature.

    Notes
    -----
    The correlated feature sets of Elhage et al. 2022.

    Examples
    --------
    >>> Correlated([(0, 1), (2, 3)]).gates(5)[2].members
    (4,)
    """

    def gates(self, n_features: int) -> tuple[Gate, ...]:
        """Return one gate for each set, and one for each feature in no set."""
        return self._gates(GateKind.TOGETHER, n_features)


@dataclass(frozen=True, init=False)
class Anticorrelated(_Grouped):
    """Sets of features of which at most one is on.

    Sets are independent of each other; features in no set are on independently. The densities
    of the members of a set sum to at most 1: k members have a density of at most 1/k each.

    Parameters
    ----------
    sets
        Disjoint sets of features, counted from 0.
    values
        The law of a value.

    Raises
    ------
    ValueError
        If a set is empty, sets overlap, or an entry is no feature.

    Notes
    -----
    The anticorrelated feature sets of Elhage et al. 2022.

    Examples
    --------
    >>> Anticorrelated([(0, 1)]).sets
    ((0, 1),)
    """

    def gates(self, n_features: int) -> tuple[Gate, ...]:
        """Return one gate for each set, and one for each feature in no set."""
        return self._gates(GateKind.AT_MOST_ONE, n_features)


@dataclass(frozen=True)
class CoActive(FeatureDistribution):
    """All features are on together, or none is; one density for all.

    What a mask that switches whole examples produces. Values are independent.

    Examples
    --------
    >>> CoActive().gates(3)[0].members
    (0, 1, 2)
    """

    def gates(self, n_features: int) -> tuple[Gate, ...]:
        """Return the one gate of all features."""
        return (Gate(GateKind.TOGETHER, tuple(range(n_features))),)


@dataclass(frozen=True)
class OneHot(FeatureDistribution):
    """Exactly one feature is on: the limit of very sparse inputs, without the empty one.

    Densities sum to 1; n equally likely features have density 1/n.

    Notes
    -----
    The inputs of Chen et al. 2023 (arXiv 2310.06301).

    Examples
    --------
    >>> OneHot().gates(3)[0].kind
    <GateKind.EXACTLY_ONE: 'exactly one'>
    """

    def gates(self, n_features: int) -> tuple[Gate, ...]:
        """Return the one gate of all features."""
        return (Gate(GateKind.EXACTLY_ONE, tuple(range(n_features))),)


def _check_sets(sets: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    try:
        checked = tuple(tuple(members) for members in sets)
    except TypeError:
        raise ValueError(
            f"sets must be a list of sets of features, such as [(0, 1), (2, 3)], got {sets!r}"
        ) from None
    if not all(checked):
        raise ValueError(f"a set of features must have a member, got {checked!r}")
    members = [j for group in checked for j in group]
    for j in members:
        if isinstance(j, bool) or not isinstance(j, (int, np.integer)) or j < 0:
            raise ValueError(f"features are counted 0, 1, …, got {j!r} in a set")
    repeated = sorted({j for j in members if members.count(j) > 1})
    if repeated:
        raise ValueError(
            f"sets must be disjoint, but feature {repeated[0]} occurs more than once in {checked!r}"
        )
    return tuple(tuple(int(j) for j in group) for group in checked)


def check_features(features: FeatureDistribution | None) -> FeatureDistribution:
    """Return the feature distribution that is meant; ``None`` is `Independent`.

    Raises
    ------
    ValueError
        If `features` is not a feature distribution.

    Examples
    --------
    >>> check_features(None).is_independent(2)
    True
    """
    if features is None:
        return Independent()
    if not isinstance(features, FeatureDistribution):
        raise ValueError(
            f"features must be None or a feature distribution such as Independent() or "
            f"Correlated([(0, 1)]), got {features!r}"
        )
    return features


def check_joint_density(features: FeatureDistribution, density: NDArray[np.float64]) -> None:
    """Raise unless densities, one per feature along the last axis, can belong to `features`.

    Parameters
    ----------
    features
        The distribution.
    density : ndarray of shape (..., n_features)
        Each in [0, 1]. Sums are compared up to rounding.

    Raises
    ------
    ValueError
        If the members of a set that is on together have different densities, the densities of
        a set of which at most one is on sum to more than 1, or those of `OneHot` not to 1.

    Examples
    --------
    >>> check_joint_density(Anticorrelated([(0, 1)]), np.array([0.5, 0.6]))
    Traceback (most recent call last):
        ...
    ValueError: at most one of the features 0, 1 is on, so their densities must sum to at most 1, \
got [0.5, 0.6]
    """
    for gate in features.gates(density.shape[-1]):
        own = density[..., list(gate.members)].reshape(-1, len(gate.members))
        total = own.sum(axis=1)
        rounding = 4 * len(gate.members) * np.finfo(np.float64).eps
        match gate.kind:
            case GateKind.TOGETHER:
                bad = (own != own[:, :1]).any(axis=1)
            case GateKind.AT_MOST_ONE:
                bad = total > 1 + rounding
            case GateKind.EXACTLY_ONE:
                bad = abs(total - 1) > rounding
        if bad.any():
            raise ValueError(f"{gate.requirement}, got {own[bad][0].tolist()}")
