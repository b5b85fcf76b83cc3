"""The inverse distribution function: accuracy against exact fractions, and order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from superposition import UNIFORM, ValueDistribution
from superposition.numerics.sampling.quantile import Quantile

DISTRIBUTIONS = {
    "uniform": UNIFORM,
    "2u": ValueDistribution([0, 2]),
    "2-2u": ValueDistribution([2, -2]),
    "6u(1-u)": ValueDistribution([0, 6, -6]),
    "zero-inside": ValueDistribution([3, -12, 12]),
    "4u^3": ValueDistribution([0, 0, 0, 4]),
    "1/2+u": ValueDistribution([Fraction(1, 2), 1]),
    "nearly-zero-inside": ValueDistribution(
        [Fraction(c) / Fraction(5, 4) for c in (Fraction(13, 4), -12, 12)]
    ),
}
STEP = 2.0**-31

every = pytest.mark.parametrize("values", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)


def uniform_numbers() -> torch.Tensor:
    """Multiples of 2⁻³¹: the lowest, the highest, around 1/2, and some of all others."""
    rng = np.random.default_rng(0)
    numbers = np.concatenate(
        [
            np.arange(1, 3000),
            np.arange(2**30 - 1500, 2**30 + 1500),
            np.arange(2**31 - 3000, 2**31 + 1),
            rng.integers(1, 2**31, 3000),
        ]
    )
    return torch.from_numpy(np.unique(numbers) * STEP)


def cumulative(values: ValueDistribution, x: float) -> Fraction:
    return sum(
        (c * Fraction(x) ** (k + 1) / (k + 1) for k, c in enumerate(values.coefficients)),
        Fraction(0),
    )


@every
def test_distribution_function_of_the_result_is_the_argument(values: ValueDistribution) -> None:
    """P is evaluated exactly; its error is rounding: of u, and of the last digit of x."""
    u = uniform_numbers()[::7]
    for x, target in zip(Quantile(values)(u).tolist(), u.tolist(), strict=True):
        assert 0 < x <= 1
        assert abs(cumulative(values, x) - Fraction(target)) <= 4e-15 * target


@every
def test_larger_numbers_give_larger_values(values: ValueDistribution) -> None:
    assert (Quantile(values)(uniform_numbers()).diff() > 0).all()


@every
def test_ends(values: ValueDistribution) -> None:
    """Where the density vanishes at 1, numbers within 1e-8 of it share the distribution function."""
    zero, one = Quantile(values)(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    assert zero == 0
    assert 1 - 1e-8 <= one <= 1


@every
def test_a_result_depends_on_its_own_number_only(values: ValueDistribution) -> None:
    """Vectorized code may round a body and a tail differently; elementary operations do not."""
    u = uniform_numbers()[:301]
    whole = Quantile(values)(u)
    for place in (0, 1, 7, 150, 299, 300):
        assert Quantile(values)(u[place : place + 1].clone()).item() == whole[place].item()
    assert torch.equal(Quantile(values)(u.reshape(7, 43).T).T.reshape(-1), whole)
