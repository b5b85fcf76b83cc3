"""The joint states of all features: which a recurrence has to visit, and how likely sets are."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...features import FeatureDistribution, Gate, GateKind
from ..arguments import Floats
from .value_states import ValueStates, value_states

__all__ = ["MAX_STATES", "JointStates", "joint_states", "set_probabilities", "state_count"]

MAX_STATES = 3**10
"""Of the recurrence: those of ten independent features with uniform values."""

Integers = NDArray[np.int32]


class JointStates(NamedTuple):
    """The joint states of n features, in an order in which steps up and down lead back.

    Attributes
    ----------
    code : ndarray of int32, shape (states, n_features)
        The state of each feature, an index into `values`.
    up, down : ndarray of int32, shape (states, n_features)
        The joint state a step of one feature leads to.
    active_set : ndarray of int32, shape (states,)
        Which set of features is on, an index along `set_probabilities`; −1 for a state that is
        only passed.
    weight : ndarray of shape (states,)
        Share of the state given that set.
    values : ValueStates
    """

    code: Integers
    up: Integers
    down: Integers
    active_set: Integers
    weight: Floats
    values: ValueStates


def _gate_size(gate: Gate, codes: int) -> int:
    members = len(gate.members)
    return int(codes**members) if gate.kind is GateKind.TOGETHER else 1 + members * (codes - 1)


def state_count(features: FeatureDistribution, n_features: int) -> int:
    """Return the number of joint states, without listing them.

    Examples
    --------
    >>> from superposition import CoActive, OneHot
    >>> state_count(CoActive(), 10), state_count(OneHot(), 10)
    (59049, 21)
    """
    codes = len(value_states(features.values).weight)
    return prod(_gate_size(gate, codes) for gate in features.gates(n_features))


def _gate_codes(gate: Gate, codes: int) -> Integers:
    """Return the joint states of the members of one gate, shape (states, members).

    A member that is fixed at 0 is as good as off, so all members of a set that is on together
    have every state; at most one member of an exclusive set has another state than 0.
    """
    members = len(gate.members)
    if gate.kind is GateKind.TOGETHER:
        return np.indices((codes,) * members, dtype=np.int32).reshape(members, -1).T
    rows = np.zeros((1 + members * (codes - 1), members), np.int32)
    for k in range(members):
        first = 1 + k * (codes - 1)
        rows[first : first + codes - 1, k] = np.arange(1, codes)
    return rows


def _gate_steps(gate: Gate, rows: Integers, to: Integers) -> Integers:
    """Return where a step of each member leads, as a difference of indices into `rows`."""
    codes, members = len(to), len(gate.members)
    change = to[rows] - rows
    if gate.kind is GateKind.TOGETHER:
        places = codes ** np.arange(members - 1, -1, -1)
        return np.asarray(change * places, np.int32)
    first = 1 + np.arange(members) * (codes - 1)
    target = np.where(to[rows] == 0, 0, first + to[rows] - 1)
    steps = target - np.arange(len(rows))[:, None]
    return np.asarray(np.where(change == 0, 0, steps), np.int32)


def _gate_sets(gate: Gate, rows: Integers, values: ValueStates) -> tuple[Integers, Floats]:
    """Return the index in `Gate.states` of the set that is on in each state, and its share."""
    weight = np.where(rows > 0, values.weight[rows], 1.0).prod(axis=1)
    on = (rows > 0).sum(axis=1)
    if gate.kind is GateKind.TOGETHER:
        sets = np.where(on == 0, 0, np.where(on == len(gate.members), 1, -1))
    else:
        offset = 1 if gate.kind is GateKind.AT_MOST_ONE else 0
        sets = np.where(on == 0, offset - 1, offset + rows.argmax(axis=1))
    return np.asarray(np.where(weight == 0.0, -1, sets), np.int32), weight


@lru_cache(maxsize=8)
def joint_states(features: FeatureDistribution, n_features: int) -> JointStates:
    """Return the joint states of a distribution.

    Raises
    ------
    ValueError
        If there are more than `MAX_STATES`.
    """
    count = state_count(features, n_features)
    if count > MAX_STATES:
        raise ValueError(
            f"the recurrence takes up to {MAX_STATES} joint states of the features, but "
            f"{features!r} has more for n_features = {n_features}; `population_loss` sums over "
            f"nodes then, for any number of features"
        )
    values = value_states(features.values)
    codes = len(values.weight)
    gates = features.gates(n_features)
    code = np.zeros((count, n_features), np.int32)
    up, down = (np.repeat(np.arange(count, dtype=np.int32)[:, None], n_features, 1) for _ in "ud")
    active_set, weight = np.zeros(count, np.int32), np.ones(count)
    stride = count
    for gate in gates:
        size = _gate_size(gate, codes)
        stride //= size
        rows = _gate_codes(gate, codes)
        place = np.arange(count) // stride % size
        members = list(gate.members)
        code[:, members] = rows[place]
        up[:, members] += stride * _gate_steps(gate, rows, values.up)[place]
        down[:, members] += stride * _gate_steps(gate, rows, values.down)[place]
        sets, share = _gate_sets(gate, rows, values)
        n_sets = _set_count(gate)
        known = (active_set >= 0) & (sets[place] >= 0)
        active_set = np.where(known, active_set * n_sets + sets[place], -1).astype(np.int32)
        weight *= share[place]
    return JointStates(code, up, down, active_set, weight, values)


def _set_count(gate: Gate) -> int:
    match gate.kind:
        case GateKind.TOGETHER:
            return 2
        case GateKind.AT_MOST_ONE:
            return 1 + len(gate.members)
        case GateKind.EXACTLY_ONE:
            return len(gate.members)


def set_probabilities(features: FeatureDistribution, density: Floats) -> Floats:
    """Return the probability that exactly a set of features is on, for every set that can be.

    Parameters
    ----------
    features : FeatureDistribution
    density : ndarray of shape (models, n_features)

    Returns
    -------
    ndarray of shape (models, sets)
        The states of the gates run in the order of `Gate.states`, those of the last fastest.

    Examples
    --------
    >>> from superposition import Anticorrelated
    >>> set_probabilities(Anticorrelated([(0, 1)]), np.array([[0.25, 0.5]]))
    array([[0.25, 0.25, 0.5 ]])
    """
    models, n_features = density.shape
    table = np.ones((models, 1))
    for gate in features.gates(n_features):
        # Densities that sum to 1 leave a probability of 0 up to rounding, which may be negative.
        own = np.stack([np.maximum(p, 0.0) for _, p in gate.states(list(density.T))], axis=1)
        table = (table[:, :, None] * own[:, None, :]).reshape(models, -1)
    return table
