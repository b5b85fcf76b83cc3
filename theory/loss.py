"""The expected loss, derived from its definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy

from ..features import FeatureDistribution, check_features
from ..model import Activation, check_activation
from .active_sets import ActiveSetTerm, Output, active_set_losses, probability
from .bias import OptimalBias, UnsolvedBiasError
from .bias_search import minimize_bias
from .fields import decide_sign, field_of, tidy_algebraic
from .inputs import as_exact, read_bias, read_density, read_importance, read_penalty, read_weights
from .symbols import OPTIMAL, Optimal, s

__all__ = ["ModelLoss", "OutputLoss", "derive_loss", "expected_loss", "optimal_bias"]


@dataclass(frozen=True)
class OutputLoss:
    """Expected squared error of one output.

    Attributes
    ----------
    index
        Which feature is reconstructed, counted from 0.
    importance
        Its importance, not yet multiplied into `loss`.
    couplings
        Row i of WᵀW.
    bias
        β_i; where it was `OPTIMAL`, its minimizer.
    loss
        E (x_i − x̂_i)².
    terms
        The active sets, whose probability · loss sum to `loss`. Where the bias was `OPTIMAL`
        they stand in `optimum`, one list for each piece.
    optimum
        The minimization over the bias, or ``None`` where the bias was given.
    """

    index: int
    importance: sympy.Expr
    couplings: tuple[sympy.Expr, ...]
    bias: sympy.Expr
    loss: sympy.Expr
    terms: tuple[ActiveSetTerm, ...]
    optimum: OptimalBias | None


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
    """

    W: sympy.ImmutableMatrix
    gram: sympy.ImmutableMatrix
    activation: Activation
    densities: tuple[sympy.Expr, ...]
    outputs: tuple[OutputLoss, ...]
    penalty: sympy.Expr

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

    The expectation is over all inputs: x̂ = σ(WᵀW x + b) and x_j = B_j U_j with
    B_j ~ Bernoulli(density_j), U_j ~ Uniform[0, 1], independent. It is split over the sets of
    active features, and each part is an integral over a box, a sum over its vertices.

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
        ``None`` is independent sparse uniform features.
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
    W, the result's limit is the value where such a coupling vanishes. The cost grows like 3^k
    for an output that depends on k features with different couplings.

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
    check_features(features)
    checked_activation = check_activation(activation)
    weights = read_weights(W)
    n_features = weights.shape[1]
    biases = read_bias(b, n_features)
    densities = read_density(density, n_features)
    importances = read_importance(importance, n_features)
    coefficient = read_penalty(penalty)
    exact_sample = None if sample is None else {k: as_exact(v) for k, v in sample.items()}
    gram = (weights.T * weights).applyfunc(tidy_algebraic)
    cache: dict[Any, Any] = {}
    outputs = tuple(
        _output_loss(
            i,
            gram.row(i),
            biases[i],
            importances[i],
            densities,
            checked_activation,
            exact_sample,
            cache,
        )
        for i in range(n_features)
    )
    interference = sympy.Add(
        *(gram[i, j] ** 2 for i in range(n_features) for j in range(n_features) if i != j)
    )
    penalty_term = coefficient * sympy.expand(interference)
    return ModelLoss(weights, gram, checked_activation, densities, outputs, penalty_term)


def _output_loss(
    index: int,
    row: Sequence[sympy.Expr],
    bias: sympy.Expr | Optimal,
    importance: sympy.Expr,
    densities: tuple[sympy.Expr, ...],
    activation: Activation,
    sample: Mapping[sympy.Symbol, sympy.Expr] | None,
    cache: dict[Any, Any],
) -> OutputLoss:
    couplings = tuple(row)
    if bias is OPTIMAL:
        optimum = _shared_optimum(index, couplings, densities, activation, cache)
        return OutputLoss(index, importance, couplings, optimum.bias, optimum.loss, (), optimum)
    field = field_of([*couplings, bias])
    output = Output(index, field, tuple(map(field.from_sympy, couplings)), densities, activation)
    shift = field.from_sympy(bias)
    is_active = _VertexSigns(field, shift, densities, sample)
    losses = active_set_losses(output, shift, is_active, cache.setdefault((field, shift), {}))
    terms = tuple(
        ActiveSetTerm(active, probability(output, active), field.to_sympy(loss))
        for active, loss in losses.items()
    )
    loss = weighted_sum(terms, densities)
    return OutputLoss(index, importance, couplings, bias, loss, terms, None)


def _shared_optimum(
    index: int,
    couplings: tuple[sympy.Expr, ...],
    densities: tuple[sympy.Expr, ...],
    activation: Activation,
    cache: dict[Any, Any],
) -> OptimalBias:
    """Minimize over the bias once for all outputs that differ by the order of the features."""
    inputs = list(zip(couplings, densities, strict=True))
    others = [j for j in range(len(inputs)) if j != index]
    order = [index, *sorted(others, key=lambda j: str(inputs[j]))]
    key = tuple(inputs[j] for j in order)
    if key not in cache:
        ordered = tuple(zip(*key, strict=True))
        try:
            cache[key] = minimize_bias(0, ordered[0], ordered[1], activation)
        except UnsolvedBiasError as error:
            raise UnsolvedBiasError(index, error.reason, error.equation) from None
    optimum: OptimalBias = cache[key]
    return optimum.relabelled(index, order)


def weighted_sum(terms: Sequence[ActiveSetTerm], densities: Sequence[sympy.Expr]) -> sympy.Expr:
    """Return Σ probability · loss in a normal form: by powers of the densities."""
    by_probability: dict[sympy.Expr, sympy.Expr] = {}
    for term in terms:
        by_probability[term.probability] = by_probability.get(term.probability, 0) + term.loss
    total = sympy.Add(*(weight * loss for weight, loss in by_probability.items()))
    return by_powers(total, densities)


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
        shift: Any,
        densities: Sequence[sympy.Expr],
        sample: Mapping[sympy.Symbol, sympy.Expr] | None,
    ) -> None:
        self.field = field
        self.shift = shift
        self.sample = sample
        self.densities = [d for d in densities if d.is_Symbol]
        self.answers: dict[Any, bool] = {}

    def __call__(self, value: Any) -> bool:
        if value not in self.answers:
            self.answers[value] = self._decide(value + self.shift)
        return self.answers[value]

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
    check_features(features)
    weights = read_weights(W)
    n_features = weights.shape[1]
    if isinstance(output, bool) or not isinstance(output, int) or not 0 <= output < n_features:
        raise ValueError(f"output must be a feature 0, …, {n_features - 1}, got {output!r}")
    gram = (weights.T * weights).applyfunc(tidy_algebraic)
    densities = read_density(density, n_features)
    return minimize_bias(output, tuple(gram.row(output)), densities, check_activation(activation))
