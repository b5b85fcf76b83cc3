"""The expected loss, derived from its definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field as dataclass_field, replace
from functools import cached_property
from typing import Any

import sympy

from ..features import FeatureDistribution, check_features
from ..model import Activation, check_activation
from .bias import BiasPiece, OptimalBias, beta
from .bias_search import minimize_bias
from .fields import decide_sign, element_of, exact_gram, field_of
from .inputs import (
    as_exact,
    read_bias,
    read_importance,
    read_joint_density,
    read_penalty,
    read_weights,
)
from .output_error import ActiveSetTerm, DensityRing, Output, active_set_terms, error
from .symbols import OPTIMAL, Optimal, s

__all__ = ["ModelLoss", "OutputLoss", "derive_loss", "expected_loss", "optimal_bias"]


@dataclass(frozen=True)
class OutputLoss:
    """Expected squared error of one output.

    Attributes
    ----------
    output
        The output, in the exact domain in which it was computed.
    importance
        Its importance, not yet multiplied into `loss`.
    couplings
        Row i of WᵀW.
    bias
        β_i; where it was `OPTIMAL`, its minimizer.
    loss
        E (x_i − x̂_i)².
    optimum
        The minimization over the bias, or ``None`` where the bias was given.
    """

    output: Output = dataclass_field(repr=False)
    importance: sympy.Expr
    couplings: tuple[sympy.Expr, ...]
    bias: sympy.Expr
    loss: sympy.Expr
    optimum: OptimalBias | None
    signs: _VertexSigns = dataclass_field(repr=False, compare=False)

    @property
    def index(self) -> int:
        """Which feature is reconstructed, counted from 0."""
        return self.output.index

    @cached_property
    def terms(self) -> tuple[ActiveSetTerm, ...]:
        """The active sets, whose probability · loss sum to `loss`.

        Empty where the bias was `OPTIMAL`; `terms_on` has them for each piece.
        """
        if self.optimum is not None:
            return ()
        shift = element_of(self.output.field, self.bias)
        is_active = self.signs.above(self.bias)
        return active_set_terms(self.output, shift, is_active, self.output.field.to_sympy)

    def terms_on(self, piece: BiasPiece) -> tuple[ActiveSetTerm, ...]:
        """Return the active sets with their losses as polynomials in `beta`, on one piece."""
        field = self.output.field
        ring = field.poly_ring(beta)

        def is_active(value: Any) -> bool:
            return bool(-field.to_sympy(value) <= piece.lower)

        return active_set_terms(
            self.output, ring.gens[0], is_active, lambda loss: ring.to_sympy(ring.one * loss)
        )


@dataclass(frozen=True)
class ModelLoss:
    """The expected loss of a model together with all that it was added up from.

    Attributes
    ----------
    W, gram
        Weights (m, n) and WᵀW (n, n).
    activation
        "relu" or "linear".
    densities
        n densities.
    outputs
        One entry per feature.
    penalty
        λ Σ_{i≠j} (W_i · W_j)².
    features
        What the inputs are drawn from.
    """

    W: sympy.ImmutableMatrix
    gram: sympy.ImmutableMatrix
    activation: Activation
    densities: tuple[sympy.Expr, ...]
    outputs: tuple[OutputLoss, ...]
    penalty: sympy.Expr
    features: FeatureDistribution

    @cached_property
    def total(self) -> sympy.Expr:
        """Σ_i I_i E (x_i − x̂_i)² + penalty, with equal outputs collected."""
        weights: dict[sympy.Expr, sympy.Expr] = {}
        for output in self.outputs:
            weights[output.loss] = weights.get(output.loss, sympy.S.Zero) + output.importance
        total = sympy.Add(*(weight * loss for loss, weight in weights.items()))
        if all(weight.is_number for weight in weights.values()):
            total = by_powers(total, self.densities)
        return total + self.penalty


def expected_loss(
    W: Any,
    b: Any = None,
    *,
    density: Any = s,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    sample: Mapping[sympy.Symbol, Any] | None = None,
) -> sympy.Expr:
    """Derive L(W, b) = Σ_i I_i E(x_i − x̂_i)² + λ Σ_{i≠j}(W_i·W_j)² exactly.

    The expectation is over all inputs: x̂ = σ(WᵀW x + b) and, unless `features` says otherwise,
    x_j = B_j U_j with B_j ~ Bernoulli(density_j), U_j ~ Uniform[0, 1], independent. The law of
    each pre-activation enters by its transform, a sum over the vertices of the unit box.

    Parameters
    ----------
    W
        Weights, (m, n) = (n_hidden, n_features): nested sequences, NumPy array or SymPy matrix.
        Integers, Fractions and SymPy numbers stay exact; a float is the rational it stores.
    b
        n biases, each a number, an expression or `OPTIMAL`; ``None`` is zero. `OPTIMAL` is
        replaced by the minimizer, which is derived.
    density
        P(x_j ≠ 0), one value for all features or n values. Numbers lie in [0, 1]; symbols are
        taken to lie in (0, 1].
    importance
        n importances, at least 0, numbers or expressions; ``None`` is all ones.
    activation
        "relu" or "linear".
    features
        What the inputs are drawn from, such as `superposition.Correlated`; ``None`` is
        independent sparse uniform features.
    penalty
        Coefficient λ of the interference penalty.
    sample
        Values of the free symbols of W and b. Where a sign follows from no assumption it is
        taken at this point, and the result then holds in the point's chamber: the region in
        which no vertex value of a pre-activation changes sign.

    Returns
    -------
    sympy.Expr
        Exact; polynomial in the density for exact W and b, and linear in the importances. It
        is a Piecewise in the density where the optimal bias is one.

    Raises
    ------
    ValueError
        If an argument has the wrong shape, range or type.
    UndecidedSignError
        If free symbols leave the sign of a pre-activation at a vertex open.
    UnsolvedBiasError
        If an `OPTIMAL` bias has no closed form in the density symbol.

    Notes
    -----
    A coupling that is not identically zero is taken to be non-zero. As the loss is continuous in
    W, the result's limit is the value where such a coupling vanishes. The cost grows with the
    number of distinct vertex values: 2^k for an output that depends on k features with couplings
    that have nothing in common, a few dozen for a regular polytope.

    Examples
    --------
    The three losses of the theory notebook of Elhage et al. 2022:

    >>> from superposition.theory import OPTIMAL, expected_loss, r
    >>> expected_loss([[1, -1]], importance=(1, r))
    s**2*(r + 1)/6
    >>> expected_loss([[1, 0]], [0, OPTIMAL])
    -s**2/4 + s/3
    >>> expected_loss([[1, -1]])
    s**2/3
    """
    model = derive_loss(
        W,
        b,
        density=density,
        importance=importance,
        activation=activation,
        features=features,
        penalty=penalty,
        sample=sample,
    )
    return model.total


def derive_loss(
    W: Any,
    b: Any = None,
    *,
    density: Any = s,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    sample: Mapping[sympy.Symbol, Any] | None = None,
) -> ModelLoss:
    """Return the expected loss with its parts; `expected_loss` is its total.

    Parameters and errors are those of `expected_loss`.
    """
    distribution = check_features(features)
    checked_activation = check_activation(activation)
    weights = read_weights(W)
    n_features = weights.shape[1]
    biases = read_bias(b, n_features)
    densities = read_joint_density(density, distribution, n_features)
    importances = read_importance(importance, n_features)
    coefficient = read_penalty(penalty)
    exact_sample = None if sample is None else {k: as_exact(v) for k, v in sample.items()}
    gram = exact_gram(weights)
    rings: dict[Any, DensityRing] = {}
    signs: dict[Any, _VertexSigns] = {}
    losses: dict[Any, Any] = {}
    outputs = []
    for i in range(n_features):
        given = [] if biases[i] is OPTIMAL else [biases[i]]
        output = _output(i, gram.row(i), given, densities, distribution, checked_activation, rings)
        field = output.field
        own_signs = signs.setdefault(field, _VertexSigns(field, densities, exact_sample))
        outputs.append(_output_loss(output, biases[i], importances[i], own_signs, losses))
    interference = sympy.Add(
        *(gram[i, j] ** 2 for i in range(n_features) for j in range(n_features) if i != j)
    )
    penalty_term = coefficient * sympy.expand(interference)
    return ModelLoss(
        weights,
        gram,
        checked_activation,
        densities,
        tuple(outputs),
        penalty_term,
        distribution,
    )


def _output(
    index: int,
    row: Sequence[sympy.Expr],
    more: Sequence[sympy.Expr],
    densities: tuple[sympy.Expr, ...],
    features: FeatureDistribution,
    activation: Activation,
    rings: dict[Any, DensityRing],
) -> Output:
    """Return an output in the smallest domain that holds its couplings and `more`."""
    relevant = {j for j, coupling in enumerate(row) if coupling != 0 or j == index}
    gates = features.gates(len(row))
    matter = {j for gate in gates if relevant & set(gate.members) for j in gate.members}
    own = tuple(d if j in matter else sympy.S.Zero for j, d in enumerate(densities))
    field = field_of([*row, *more, *(d for d in own if d.is_number)])
    key = field, own
    if key not in rings:
        rings[key] = DensityRing.over(field, own)
    ring = rings[key]
    return Output(
        index, tuple(element_of(field, entry) for entry in row), ring, features, activation
    )


def _output_loss(
    output: Output,
    bias: sympy.Expr | Optimal,
    importance: sympy.Expr,
    signs: _VertexSigns,
    cache: dict[Any, Any],
) -> OutputLoss:
    """Return the loss of one output; outputs that differ by an order of features share it."""
    field = output.field
    couplings = tuple(map(field.to_sympy, output.couplings))
    key = (output.ring.field, output.signature, bias)
    if bias is OPTIMAL:
        if key not in cache:
            cache[key] = minimize_bias(output)
        optimum = replace(cache[key], output=output.index)
        return OutputLoss(output, importance, couplings, optimum.bias, optimum.loss, optimum, signs)
    if key not in cache:
        shift = element_of(field, bias)
        element = error(output).at(shift, signs.above(bias))
        densities = list(output.ring.expressions.values())
        cache[key] = by_powers(output.ring.to_sympy(element), densities)
    return OutputLoss(output, importance, couplings, bias, cache[key], None, signs)


def by_powers(expression: sympy.Expr, densities: Sequence[sympy.Expr]) -> sympy.Expr:
    """Return a sum over powers of the density symbols, each with one coefficient."""
    if expression.has(sympy.Piecewise):
        return expression
    if expression.is_rational_function() and not expression.is_polynomial():
        return sympy.factor(expression)
    symbols = sorted(set().union(*(density.free_symbols for density in densities)), key=str)
    return sympy.collect(sympy.expand(expression), symbols)


class _VertexSigns:
    """Says of a vertex value t whether t + β is positive, and remembers the answers."""

    def __init__(
        self,
        field: Any,
        densities: Sequence[sympy.Expr],
        sample: Mapping[sympy.Symbol, sympy.Expr] | None,
    ) -> None:
        self.field = field
        self.sample = sample
        self.densities = [d for d in densities if d.is_Symbol]
        self.answers: dict[Any, bool] = {}

    def above(self, bias: sympy.Expr) -> Callable[[Any], bool]:
        """Return the function that says of a vertex value whether it lies above −`bias`."""
        shift = element_of(self.field, bias)
        return lambda value: self._is_positive(value + shift)

    def _is_positive(self, element: Any) -> bool:
        if element not in self.answers:
            self.answers[element] = self._decide(element)
        return self.answers[element]

    def _decide(self, element: Any) -> bool:
        if not element:
            return False
        if self.field.is_QQ:
            return bool(element > 0)
        expression = self.field.to_sympy(element)
        return decide_sign(expression, self.sample, self.densities) > 0


def optimal_bias(
    W: Any,
    output: int,
    *,
    density: Any = s,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> OptimalBias:
    """Return the bias of one output that minimizes its expected squared error, and that error.

    The outputs' errors share no bias, so each is minimized alone. As a function of β it is
    polynomial between the points where the pre-activation at some vertex of the box changes
    sign. All pieces are searched, and the minimizers compared, exactly.

    Parameters
    ----------
    W, density, activation, features
        As in `expected_loss`.
    output
        Index of the output, counted from 0.

    Returns
    -------
    OptimalBias
        With `.bias` and `.loss`, and the pieces and regimes they were found from.

    Raises
    ------
    ValueError
        If `output` is no feature, or for the reasons of `expected_loss`.
    UnsolvedBiasError
        If the minimizer has no closed form in the density symbol.

    Examples
    --------
    A feature that is dropped is best reconstructed by its mean:

    >>> from superposition.theory import optimal_bias
    >>> optimal_bias([[1, 0]], 1).bias
    s/2
    """
    distribution = check_features(features)
    weights = read_weights(W)
    n_features = weights.shape[1]
    if isinstance(output, bool) or not isinstance(output, int) or not 0 <= output < n_features:
        raise ValueError(f"output must be a feature 0, …, {n_features - 1}, got {output!r}")
    gram = exact_gram(weights)
    densities = read_joint_density(density, distribution, n_features)
    return minimize_bias(
        _output(
            output,
            gram.row(output),
            [],
            densities,
            distribution,
            check_activation(activation),
            {},
        )
    )
