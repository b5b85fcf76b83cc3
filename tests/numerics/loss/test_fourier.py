"""Losses of many features against a Fourier series: no line in the complex plane, no closed form.

On a circle longer than the range of z, E f(z) is the sum over k of the k-th Fourier coefficient of f
times the characteristic function of z at 2πk/P. Here f is the loss as a function of what the other
features send, averaged over the own feature by Gauss-Legendre quadrature, and led smoothly to zero
outside the range. Both the quadrature across the kink and the aliasing leave about 1e-9.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition.numerics import population_loss

Floats = NDArray[np.float64]

POINTS, NODES = 2**15, 300


def smooth_step(t: Floats) -> Floats:
    """1 for t ≤ 0, 0 for t ≥ 1, with all derivatives."""
    inside = np.clip(t, 1e-3, 1 - 1e-3)
    falling, rising = np.exp(-1 / (1 - inside)), np.exp(-1 / inside)
    return np.where(t <= 0, 1.0, np.where(t >= 1, 0.0, falling / (falling + rising)))


def output_loss(own: float, others: Floats, bias: float, density: float) -> float:
    low, high = bias + others[others < 0].sum(), bias + others[others > 0].sum()
    period = 1.3 * (high - low) + 1
    z = (low + high) / 2 + period * (np.arange(POINTS) / POINTS - 0.5)
    x, weight = np.polynomial.legendre.leggauss(NODES)
    x, weight = (x + 1) / 2, weight / 2
    f = (1 - density) * np.maximum(z, 0) ** 2
    for value, share in zip(x, weight, strict=True):
        f += density * share * (value - np.maximum(own * value + z, 0)) ** 2
    f *= smooth_step((abs(z - (low + high) / 2) - (high - low) / 2) / ((period - high + low) / 2))
    frequency = 2 * np.pi * np.fft.fftfreq(POINTS, 1 / POINTS) / period
    law = np.exp(1j * frequency * (bias - z[0]))
    for coupling in others:
        t = 1j * np.where(frequency == 0, 1.0, frequency) * coupling
        transform = np.where(frequency == 0, 1.0, np.expm1(t) / t)
        law = law * (1 - density + density * transform)
    return float((np.fft.fft(f) / POINTS * law).sum().real)


@pytest.mark.parametrize(("n", "m", "density"), [(20, 5, 0.05), (20, 5, 0.5), (40, 3, 0.2)])
def test_losses_are_those_of_a_fourier_series(n: int, m: int, density: float) -> None:
    rng = np.random.default_rng(n)
    W = rng.normal(size=(m, n))
    W /= np.linalg.norm(W, axis=0)
    b = -0.1 * rng.random(n)
    gram = W.T @ W
    for i in (0, 1):
        exact = population_loss(W, b, density=density, importance=np.arange(n) == i)
        found = output_loss(gram[i, i], np.delete(gram[i], i), b[i], density)
        assert found == pytest.approx(float(exact), rel=3e-8)
