"""Which features can be on together, in arrays for compiled code.

A gate has branches: it is off, or exactly one of its branches is on. A branch is a set of features
that are on together. So a set of which all members are on or none is has one branch, and a set of
which at most one member is on has as many branches as members.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....features import FeatureDistribution, Gate, GateKind

__all__ = ["GateTable", "gate_table"]

Integers = NDArray[np.int64]


class GateTable(NamedTuple):
    """Gates, their branches, and the members of those.

    Attributes
    ----------
    branch_start : ndarray of shape (gates + 1,)
        The branches of gate q are those from ``branch_start[q]`` up to ``branch_start[q + 1]``.
    member_start : ndarray of shape (branches + 1,)
        The same for the places of the members of a branch.
    member : ndarray of shape (n_features,)
        The feature at each place.
    gate_of, branch_of : ndarray of shape (n_features,)
        Of each feature.
    can_be_off : ndarray of bool, shape (gates,)
    plain : bool
        Whether every gate has one branch with one member: independent features.
    """

    branch_start: Integers
    member_start: Integers
    member: Integers
    gate_of: Integers
    branch_of: Integers
    can_be_off: NDArray[np.bool_]
    plain: bool


def _branches(gate: Gate) -> list[tuple[int, ...]]:
    if gate.kind is GateKind.TOGETHER:
        return [gate.members]
    return [(j,) for j in gate.members]


@lru_cache(maxsize=8)
def gate_table(features: FeatureDistribution, n_features: int) -> GateTable:
    """Return the gates of a distribution.

    Examples
    --------
    >>> from superposition import Correlated
    >>> table = gate_table(Correlated([(0, 2)]), 3)
    >>> table.member.tolist(), table.member_start.tolist(), table.gate_of.tolist()
    ([0, 2, 1], [0, 2, 3], [0, 1, 0])
    """
    gates = features.gates(n_features)
    branches = [_branches(gate) for gate in gates]
    flat = [branch for own in branches for branch in own]
    gate_of, branch_of = np.empty(n_features, np.int64), np.empty(n_features, np.int64)
    for q, gate in enumerate(gates):
        gate_of[list(gate.members)] = q
    for b, branch in enumerate(flat):
        branch_of[list(branch)] = b
    return GateTable(
        np.cumsum([0] + [len(own) for own in branches], dtype=np.int64),
        np.cumsum([0] + [len(branch) for branch in flat], dtype=np.int64),
        np.array([j for branch in flat for j in branch], dtype=np.int64),
        gate_of,
        branch_of,
        np.array([gate.kind is not GateKind.EXACTLY_ONE for gate in gates]),
        len(flat) == len(gates) == n_features,
    )
