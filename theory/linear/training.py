"""How long training takes two features in one linear dimension, and what noise it ends with.

Independent features of one density have the covariance v·1. Then W₁² + W₂² = 1 is a valley: for
every direction of W the best length is 1, and with W = (cos θ, sin θ) and b at its optimum the
loss is v (sin² θ + r cos² θ). At r = 1 it is flat, a circle of minima. Elsewhere training soon
falls into the valley and then moves along it, slowly where v |1 − r| is small.

Along the valley b follows W. Per unit of θ the parameters (W, b) move by (1, |μ|), so that the
flow of the gradient is θ' = −v (1 − r) sin 2θ / (1 + μ₁² + μ₂²), which tan θ solves: it decays
exponentially. Adam divides the gradient of each parameter by its root mean square, which is that
of the noise of the batch; the same projection then gives its flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import mpmath
import sympy

from ...features import FeatureDistribution, check_features
from ...values import ValueDistribution
from ..inputs import as_exact, read_density, read_importance
from ..moments import value_moment
from ..symbols import r, s

__all__ = ["OPTIMIZERS", "ValleyTraining", "valley_training"]

OPTIMIZERS: Final = ("sgd", "adam")

# A feature counts as dropped when its weight is below this: the rule of Roe's diagrams.
_DROPPED_BELOW: Final = sympy.Rational(1, 5)


@dataclass(frozen=True)
class ValleyTraining:
    """The motion of a constant-rate optimizer along the valley towards the minimum.

    Attributes
    ----------
    rate : sympy.Expr
        Per step, near the minimum: the unwanted weight decays like exp(−rate · steps). It is 0
        at r = 1.
    steps : sympy.Expr
        Mean-field time from the start until the unwanted weight is below the threshold; infinite
        at r = 1. For "adam" an integral, evaluated for numbers; NaN where there are symbols.
    spread : sympy.Expr
        Standard deviation of the unwanted weight about 0 in the end, from the noise of batches;
        it holds as long as it is small against 1. Infinite at r = 1.
    threshold : sympy.Expr
        Below it a feature counts as dropped.
    """

    rate: sympy.Expr
    steps: sympy.Expr
    spread: sympy.Expr
    threshold: sympy.Expr

    def converges_within(self, steps: int) -> bool:
        """Say whether so many steps suffice, and noise does not carry the weight back.

        The second criterion is a spread below the threshold.

        Raises
        ------
        ValueError
            If symbols leave it open.
        """
        if not (self.steps.is_number and self.spread.is_number) or self.steps is sympy.nan:
            raise ValueError("convergence can be decided for numbers only, got symbols")
        return bool(self.steps <= steps) and bool(self.spread < self.threshold)


def valley_training(
    optimizer: str,
    *,
    density: Any = s,
    relative_importance: Any = r,
    learning_rate: Any,
    batch_size: int,
    start: Any = sympy.pi / 4,
    threshold: Any = _DROPPED_BELOW,
    features: FeatureDistribution | None = None,
) -> ValleyTraining:
    """Predict the training of two linear features in one dimension, with importances (1, r).

    Parameters
    ----------
    optimizer
        "sgd", without momentum, or "adam", with a constant rate. The objective is a mean over
        the batch and a sum over features.
    density
        One density of both features.
    relative_importance
        r, above 0.
    learning_rate, batch_size
        Constants of the optimizer.
    start
        Angle on the valley between W and the minimum's direction, in (0, π/2); the median of
        random starts is π/4.
    threshold
        The unwanted weight at which time stops, in (0, 1).
    features
        ``None`` or independent features.

    Returns
    -------
    ValleyTraining

    Raises
    ------
    ValueError
        If an argument is out of range, or features are not independent.

    Notes
    -----
    Assumed: motion along the valley is slow against the fall into it and against the bias, which
    holds for small v |1 − r|; for "adam" also that noise dominates its scale near the minimum and
    that a rate of well below 0.1 averages over its momentum. With v = Var x, μ = E x and q = E x²,

    - "sgd": rate = 2 η v |1 − r| / (1 + 2μ²), spread² = η d² v / (B |1 − r| (1 + 2μ²)),
    - "adam": rate = η |1 − r| √(B v) / (d (√q + μ²)), spread² = η d √(v/B) / (2 |1 − r| (√q + μ²)),

    where d = min(1, r) is the importance of the dropped feature.

    Examples
    --------
    Plain gradient descent needs time in proportion to 1/v, Adam does not:

    >>> options = {"relative_importance": 0.5, "learning_rate": 0.01, "batch_size": 128}
    >>> for density in (0.001, 0.1):
    ...     for optimizer in OPTIMIZERS:
    ...         training = valley_training(optimizer, density=density, **options)
    ...         print(density, optimizer, round(training.steps))
    0.001 sgd 477066
    0.001 adam 257
    0.1 sgd 5179
    0.1 adam 57
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    valley = _read_valley(density, relative_importance, learning_rate, batch_size, features)
    begin, end = as_exact(start, "start"), as_exact(threshold, "threshold")
    if not (0 < begin < sympy.pi / 2 and 0 < end < 1):
        raise ValueError(
            f"start must lie in (0, π/2) and threshold in (0, 1), got {start} and {threshold}"
        )
    rate, spread = (valley.sgd if optimizer == "sgd" else valley.adam)()
    if rate == 0:
        steps = sympy.oo
    elif sympy.sin(begin) <= end:
        steps = sympy.S.Zero
    elif optimizer == "sgd":
        steps = sympy.log(sympy.tan(begin) * sympy.sqrt(1 - end**2) / end) / rate
    else:
        steps = valley.adam_steps(begin, sympy.asin(end))
    return ValleyTraining(rate, steps, spread, end)


@dataclass(frozen=True)
class _Valley:
    density: sympy.Expr
    importance: sympy.Expr
    learning_rate: sympy.Expr
    batch_size: sympy.Expr
    values: ValueDistribution

    def moment(self, order: int) -> sympy.Expr:
        return self.density * value_moment(self.values, order) if order else sympy.S.One

    @property
    def variance(self) -> sympy.Expr:
        return sympy.factor(self.moment(2) - self.moment(1) ** 2)

    @property
    def contrast(self) -> sympy.Expr:
        return abs(1 - self.importance)

    @property
    def dropped(self) -> sympy.Expr:
        return sympy.Min(1, self.importance)

    def sgd(self) -> tuple[sympy.Expr, sympy.Expr]:
        """Return rate and spread of stochastic gradient descent."""
        bias = 1 + 2 * self.moment(1) ** 2
        rate = 2 * self.learning_rate * self.variance * self.contrast / bias
        square = self.learning_rate * self.dropped**2 * self.variance
        return rate, _root_of_ratio(square, self.batch_size * self.contrast * bias)

    def adam(self) -> tuple[sympy.Expr, sympy.Expr]:
        """Return rate and spread of Adam where the noise of batches dominates its scale."""
        bias = sympy.sqrt(self.moment(2)) + self.moment(1) ** 2
        speed = self.learning_rate * sympy.sqrt(self.batch_size * self.variance)
        square = self.learning_rate * self.dropped * sympy.sqrt(self.variance / self.batch_size)
        return (
            speed * self.contrast / (self.dropped * bias),
            _root_of_ratio(square, 2 * self.contrast * bias),
        )

    def adam_steps(self, start: sympy.Expr, stop: sympy.Expr) -> sympy.Expr:
        """Integrate dθ / θ' from stop to start; θ is measured from the kept feature."""
        if {*self.density.free_symbols, *self.importance.free_symbols}:
            return sympy.nan
        mirrored = self.importance > 1  # then the last feature is kept; the loss is scaled by 1/r
        ratio = 1 / self.importance if mirrored else self.importance
        inverse_speed = self._adam_inverse_speed(ratio)
        steps = mpmath.quad(inverse_speed, [_as_mpf(stop), _as_mpf(start)])
        return sympy.Float(steps)

    def _adam_inverse_speed(self, ratio: sympy.Expr) -> Callable[[Any], Any]:
        theta = sympy.Symbol("theta", positive=True)
        kept, other = sympy.cos(theta), sympy.sin(theta)
        tangent = (-other, kept)
        slope = self.variance * (1 - ratio) * sympy.sin(2 * theta)
        mean = self.moment(1)
        along, across = mean * (kept + other), mean * (kept - other)
        resistance = sympy.S.Zero
        for k, (noise_weight, noise_bias) in enumerate(self._noise(ratio, (kept, other), tangent)):
            # Per unit of θ the bias moves by −(w' w·μ + w w'·μ).
            shift = tangent[k] * along + (kept, other)[k] * across
            square = noise_weight / self.batch_size + (slope * tangent[k]) ** 2
            resistance += tangent[k] ** 2 * sympy.sqrt(square)
            resistance += shift**2 * sympy.sqrt(noise_bias / self.batch_size)
        speed = self.learning_rate * slope / resistance
        compiled: Callable[[Any], Any] = sympy.lambdify(theta, 1 / speed, "mpmath")
        return compiled

    def _noise(
        self, ratio: sympy.Expr, w: tuple[Any, Any], tangent: tuple[Any, Any]
    ) -> list[tuple[sympy.Expr, sympy.Expr]]:
        """Return the mean squares of one example's gradient by W_k and by b_k, for both k."""
        x = sympy.symbols("x_1 x_2")
        mean = self.moment(1)
        hidden = w[0] * x[0] + w[1] * x[1]
        error = tangent[0] * (x[0] - mean) + tangent[1] * (x[1] - mean)
        importance = (sympy.S.One, ratio)
        tilt = sum(i * a * c for i, a, c in zip(importance, tangent, w, strict=True))
        return [
            (
                self._expect((2 * error * (i * t * hidden + x[k] * tilt)) ** 2, x),
                4 * i**2 * t**2 * self.variance,
            )
            for k, (i, t) in enumerate(zip(importance, tangent, strict=True))
        ]

    def _expect(self, polynomial: sympy.Expr, x: tuple[Any, Any]) -> sympy.Expr:
        terms = sympy.Poly(polynomial, *x).terms()
        return sympy.Add(*(c * self.moment(a) * self.moment(b) for (a, b), c in terms))


def _read_valley(
    density: Any,
    relative_importance: Any,
    learning_rate: Any,
    batch_size: int,
    features: FeatureDistribution | None,
) -> _Valley:
    checked = check_features(features)
    if not checked.is_independent(2):
        raise ValueError(f"features must be independent for a valley of length 1, got {features!r}")
    densities = read_density(density, 2)
    ratio = read_importance((1, relative_importance), 2)[1]
    rate = as_exact(learning_rate, "learning_rate")
    if densities[0] != densities[1] or densities[0] == 0 or ratio == 0:
        raise ValueError(
            f"both features must have one positive density and r must be positive, "
            f"got {density} and {relative_importance}"
        )
    if not rate.is_positive:
        raise ValueError(f"learning_rate must be above 0, got {learning_rate}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be an integer of at least 1, got {batch_size!r}")
    return _Valley(densities[0], ratio, rate, sympy.Integer(batch_size), checked.values)


def _root_of_ratio(numerator: sympy.Expr, denominator: sympy.Expr) -> sympy.Expr:
    return sympy.oo if denominator == 0 else sympy.sqrt(numerator / denominator)


def _as_mpf(value: sympy.Expr) -> Any:
    return mpmath.mpf(str(value.evalf(20)))
