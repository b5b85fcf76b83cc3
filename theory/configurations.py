"""Named weights and biases, and the candidates of the published phase diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..features import FeatureDistribution
from ..model import check_sizes, relative_importance
from .inputs import read_bias, read_weights
from .loss import ModelLoss, derive_loss, optimal_bias
from .symbols import OPTIMAL, Optimal, r, s

__all__ = ["Configuration", "candidates"]


@dataclass(frozen=True, init=False)
class Configuration:
    """A named (W, b).

    Attributes
    ----------
    name
        Short, lower-case words.
    W
        Weights (m, n), kept exactly as an immutable matrix.
    b
        n biases, numbers or expressions or `OPTIMAL`.

    Raises
    ------
    ValueError
        If W is no rectangle or b does not fit it.

    Examples
    --------
    >>> pair = Configuration("superpose both", [[1, -1]])
    >>> pair.loss()
    s**2*(r + 1)/6
    >>> pair.loss(density=1, importance=1)
    1/3
    """

    name: str
    W: sympy.ImmutableMatrix
    b: tuple[sympy.Expr | Optimal, ...]

    def __init__(self, name: str, W: Any, b: Any = None) -> None:
        """Bring W and b to their exact, immutable forms; ``None`` is zero biases."""
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "W", read_weights(W))
        object.__setattr__(self, "b", read_bias(b, self.n_features))

    @property
    def n_hidden(self) -> int:
        """Number m of hidden dimensions."""
        return int(self.W.shape[0])

    @property
    def n_features(self) -> int:
        """Number n of features."""
        return int(self.W.shape[1])

    @property
    def description(self) -> str:
        """One line: name, weights, biases."""
        rows = "; ".join(", ".join(map(str, self.W.row(j))) for j in range(self.n_hidden))
        biases = ", ".join("optimal" if entry is OPTIMAL else str(entry) for entry in self.b)
        return f"{self.name}: W = [{rows}], b = [{biases}]"

    def derive(
        self,
        *,
        density: Any = s,
        importance: Any = None,
        activation: str = "relu",
        features: FeatureDistribution | None = None,
        penalty: Any = 0,
    ) -> ModelLoss:
        """Return the expected loss with its parts; importances default to (1, …, 1, r)."""
        return derive_loss(
            self.W,
            self.b,
            density=density,
            importance=relative_importance(self.n_features, r)
            if importance is None
            else importance,
            activation=activation,
            features=features,
            penalty=penalty,
        )

    def loss(
        self,
        *,
        density: Any = s,
        importance: Any = None,
        activation: str = "relu",
        features: FeatureDistribution | None = None,
        penalty: Any = 0,
    ) -> sympy.Expr:
        """Return the expected loss; importances default to (1, …, 1, r).

        Parameters and errors are otherwise those of `expected_loss`.
        """
        return self.derive(
            density=density,
            importance=importance,
            activation=activation,
            features=features,
            penalty=penalty,
        ).total

    def W_array(self) -> NDArray[np.float64]:
        """Return W as a float64 array of shape (m, n), rounded to nearest."""
        return np.array(self.W.tolist(), dtype=np.float64)

    def b_array(self, density: Any) -> NDArray[np.float64]:
        """Return the n biases as float64 at a numeric density; optimal ones are minimized."""
        exact = [
            optimal_bias(self.W, i, density=density).bias if entry is OPTIMAL else entry
            for i, entry in enumerate(self.b)
        ]
        values = [sympy.sympify(entry).subs(s, density) for entry in exact]
        return np.array([float(value) for value in values], dtype=np.float64)

    def _repr_latex_(self) -> str:
        return f"$\\text{{{self.name}}}:\\; W = {sympy.latex(self.W)}$"


def candidates(n_features: int, n_hidden: int) -> tuple[Configuration, ...]:
    """Return the configurations in which no dimension hosts more than an antipodal pair.

    Every hidden dimension hosts one dedicated feature or one antipodal pair of unit length. The
    other features are dropped, with their bias at its optimum; all other biases are zero. As
    importances are (1, …, 1, r), configurations count as equal when they differ by a permutation
    of the first n − 1 features: what matters is how many pairs there are and whether the last
    feature is dedicated, dropped or paired.

    Parameters
    ----------
    n_features, n_hidden
        Sizes, 1 ≤ n_hidden < n_features.

    Returns
    -------
    tuple of Configuration
        By number of pairs, and for each the last feature dedicated, dropped, paired. For (2, 1)
        and (3, 2) they are those of the theory notebook of Elhage et al. 2022, in its order.

    Raises
    ------
    ValueError
        If the sizes are no positive integers or n_hidden ≥ n_features.

    Notes
    -----
    Equations (2) and (3) of Roe's replication carry each other's labels: for importances (1, r)
    [1, 0] drops the feature of importance r and costs r (s/3 − s²/4), and [0, 1] costs
    s/3 − s²/4.

    Examples
    --------
    >>> for candidate in candidates(3, 2):
    ...     print(candidate.description)
    ignore first: W = [0, 1, 0; 0, 0, 1], b = [optimal, 0, 0]
    ignore last: W = [1, 0, 0; 0, 1, 0], b = [0, 0, optimal]
    superpose first two: W = [1, -1, 0; 0, 0, 1], b = [0, 0, 0]
    superpose last two: W = [1, 0, 0; 0, 1, -1], b = [0, 0, 0]
    """
    check_sizes(n_features, n_hidden)
    if n_hidden >= n_features:
        raise ValueError(
            f"candidates need n_hidden < n_features, because otherwise every feature has a "
            f"dimension of its own, got n_features = {n_features}, n_hidden = {n_hidden}"
        )
    return tuple(
        configuration
        for pairs in range(min(n_hidden, n_features - n_hidden) + 1)
        for configuration in _with_pairs(n_features, n_hidden, pairs)
    )


def _with_pairs(n_features: int, n_hidden: int, pairs: int) -> Iterator[Configuration]:
    dedicated = n_hidden - pairs
    dropped = n_features - n_hidden - pairs
    if dedicated:
        paired = range(dropped, dropped + 2 * pairs)
        yield _arrange(n_features, n_hidden, range(dropped), paired)
    if dropped:
        yield _arrange(
            n_features, n_hidden, range(n_features - dropped, n_features), range(2 * pairs)
        )
    if pairs:
        paired = range(n_features - 2 * pairs, n_features)
        yield _arrange(n_features, n_hidden, range(dropped), paired)


def _arrange(n_features: int, n_hidden: int, dropped: range, paired: range) -> Configuration:
    W = sympy.zeros(n_hidden, n_features)
    row = 0
    for feature in range(n_features):
        if feature in dropped:
            continue
        closes_pair = feature in paired and (feature - paired.start) % 2 == 1
        row -= closes_pair
        W[row, feature] = -1 if closes_pair else 1
        row += 1
    b = tuple(OPTIMAL if i in dropped else sympy.S.Zero for i in range(n_features))
    phrases = [_phrase("ignore", dropped, n_features), _phrase("superpose", paired, n_features)]
    if dropped and paired and paired.start == dropped.stop and paired.stop < n_features:
        phrases[1] = f"superpose next {_number(len(paired))}"
    return Configuration(", ".join(filter(None, phrases)), W, b)


def _phrase(verb: str, group: range, n_features: int) -> str:
    if not group:
        return ""
    if len(group) == n_features:
        return f"{verb} {'both' if n_features == 2 else 'all'}"
    end = "first" if group.start == 0 else "last"
    return f"{verb} {end}" + (f" {_number(len(group))}" if len(group) > 1 else "")


def _number(count: int) -> str:
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)
