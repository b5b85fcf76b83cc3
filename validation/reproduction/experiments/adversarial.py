"""Adversarial examples: superposition makes outputs easy to move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.special import erf

from ....numerics import population_loss
from ....theory import dimensions_per_feature
from ..captions import sentence
from ..drawing import BLUE, GREEN, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import REPRESENTED, inverse_densities, train_alike

__all__ = ["EXPERIMENTS", "mean_input_norm", "vulnerability", "vulnerability_where_on"]

_BUDGET: Final = 0.1
_RTOL: Final = 1e-6
_INPUTS: Final = 4096
_COLORS: Final = {"all inputs": VERMILION, "feature on": GREEN}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Settings:
    n_features: int = 100
    n_hidden: int = 20
    points: int = 20
    protocol: str = "elhage2022"
    replicas: int = 3


def mean_input_norm(n_features: int, density: float) -> float:
    """Return E‖x‖ of independent features with uniform values.

    Notes
    -----
    E√Q = π^(−1/2) ∫₀^∞ (1 − E e^(−u² Q)) u^(−2) du for Q = ‖x‖², of which E e^(−u² Q) is the n-th
    power of 1 − s + s √π erf(u) / (2 u).

    Examples
    --------
    >>> round(mean_input_norm(1, 0.5), 9)  # the mean of one feature
    0.25
    """

    def integrand(u: float) -> float:
        one = np.log1p(density * (np.sqrt(np.pi) * erf(u) / (2 * u) - 1)) if u > 0 else 0.0
        return float(-np.expm1(n_features * one) / u**2) if u > 0 else n_features * density / 3

    near, _ = quad(integrand, 0, 1, epsabs=1e-12, epsrel=1e-10)
    # u = 1/v on the rest
    far, _ = quad(lambda v: integrand(1 / v) / v**2, 0, 1, epsabs=1e-12, epsrel=1e-10)
    return float((near + far) / np.sqrt(np.pi))


def _attack(W: Floats, density: float) -> tuple[Floats, NDArray[np.bool_], float]:
    """Return WᵀW, which features are represented, and the length of the attack."""
    there = np.linalg.norm(W, axis=0) > REPRESENTED
    return W.T @ W, there, _BUDGET * mean_input_norm(W.shape[1], density)


def vulnerability(W: ArrayLike, b: ArrayLike, density: float) -> float:
    """Return how much more an attack raises the error of an output than without superposition.

    Output i is attacked by x + ε (WᵀW)_i / ‖(WᵀW)_i‖, ε a tenth of the mean length of x. That adds
    ε ‖(WᵀW)_i‖ to what goes into the output, as a larger bias would: the error under attack is an
    exact population loss. It is averaged over the represented features, and divided by ε², by which
    the error grows where features are orthogonal, of length 1, and have no bias.

    Parameters
    ----------
    W : array_like, shape (m, n)
    b : array_like, shape (n,)
    density : float

    Returns
    -------
    float
        NaN if no feature is represented.

    Examples
    --------
    >>> round(vulnerability(np.eye(3), np.zeros(3), 0.1), 6)
    1.0
    """
    weights, bias = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
    gram, there, epsilon = _attack(weights, density)
    if not there.any():
        return np.nan
    pushed = bias + epsilon * np.linalg.norm(gram, axis=0)
    before, after = (
        float(
            population_loss(
                weights, each, density=density, importance=there.astype(float), rtol=_RTOL
            )
        )
        for each in (bias, pushed)
    )
    return float((after - before) / (there.sum() * epsilon**2))


def vulnerability_where_on(W: ArrayLike, b: ArrayLike, density: float, seed: int = 0) -> float:
    """Return the same of inputs in which the attacked feature is on, by the worse sign of attack.

    A mean over 4096 random inputs; the parameters are those of `vulnerability`.

    Examples
    --------
    >>> round(vulnerability_where_on(np.eye(3), np.zeros(3), 0.1), 6)
    1.0
    """
    bias = np.asarray(b, dtype=np.float64)
    gram, there, epsilon = _attack(np.asarray(W, dtype=np.float64), density)
    if not there.any():
        return np.nan
    rng = np.random.default_rng(seed)
    shape = (_INPUTS, len(bias))
    own = rng.random(shape)
    x = rng.random(shape) * (rng.random(shape) < density)
    z = x @ gram + (own - x) * np.diag(gram) + bias
    push = epsilon * np.linalg.norm(gram, axis=0)
    before, up, down = (np.square(own - np.maximum(each, 0)) for each in (z, z + push, z - push))
    grown = (np.maximum(up, down) - before).mean(axis=0) / epsilon**2
    return float(grown[there].mean())


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    n, density = settings.n_features, inverse_densities(settings.points)
    W, found = train_alike(
        run, n, settings.n_hidden, density=density, protocol=settings.protocol,
        replicas=settings.replicas,
    )  # fmt: skip
    measured = [
        [
            (vulnerability(*model, float(s)), vulnerability_where_on(*model, float(s), run.seed))
            for model in zip(W[k], found.b[k], strict=True)
        ]
        for k, s in enumerate(density)
    ]
    where = ("density", "replica")
    return xr.Dataset(
        {
            "vulnerability": ((*where, "inputs"), measured),
            "features_per_dimension": (where, 1 / dimensions_per_feature(W)),
        },
        coords={"density": density, "inputs": list(_COLORS)},
        attrs={
            "protocol": found.protocol.name, "seed": run.seed, "n_features": n,
            "n_hidden": settings.n_hidden,
        },
    )  # fmt: skip


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    by_replica = data.transpose("inputs", "replica", "density")
    crowding = by_replica.features_per_dimension.values
    greatest, correlation, rise = {}, {}, {}
    for name in data.inputs.values.tolist():
        curves = by_replica.vulnerability.sel(inputs=name).values
        found = [np.corrcoef(*pair)[0, 1] for pair in zip(curves, crowding, strict=True)]
        dense = curves[:, int(by_replica.density.values.argmax())]
        greatest[name] = Measurement.mean(curves.max(axis=1))
        rise[name] = Measurement.mean(curves.max(axis=1) / dense)
        correlation[name] = Measurement.mean(found)
    return {
        "greatest_vulnerability": greatest,
        "rise_over_dense": rise,
        "correlation_with_features_per_dimension": correlation,
    }


def _draw(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, 2, width=4.2, height=3.2)
    inverse, crowding = 1 / data.density, data.features_per_dimension
    left, right = axes[0]
    for name, color in _COLORS.items():
        part = data.vulnerability.sel(inputs=name)
        left.plot(inverse, part, "o", color=color, markersize=3, alpha=0.6)
        left.plot(inverse, part.mean("replica"), color=color, label=f"vulnerability, {name}")
        right.plot(crowding.values.ravel(), part.values.ravel(), "o", color=color, markersize=3)
    left.plot(inverse, crowding.mean("replica"), color=BLUE, label="features per dimension")
    left.axhline(1, color="0.8", linewidth=1, zorder=0)
    left.set(
        xscale="log",
        xlabel="1 / density, 1/$s$",
        ylim=(0, None),
        ylabel="relative to no superposition",
    )
    left.legend(fontsize=7)
    right.set(xlabel="features per dimension, 1/$D^*$", ylabel="vulnerability, relative")
    return figure


def _caption(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"n = {data.attrs['n_features']} features of one importance in m = {data.attrs['n_hidden']} "
        "dimensions over 1/s, s = P(x_i ≠ 0). Every represented output i is attacked along (WᵀW)_i "
        f"by {_BUDGET:g} of the mean length of inputs; vulnerability is by how much its expected "
        "squared error grows, relative to orthogonal features: over all inputs (exact), and over "
        f"those in which the feature is on, by the worse sign ({_INPUTS} inputs). Lines are means.",
    )


EXPERIMENTS: Final = (
    Experiment(
        name="adversarial",
        title="Adversarial examples against models in superposition",
        source="Elhage et al. 2022, relationship to adversarial robustness",
        tiny=_Settings(n_features=12, n_hidden=3, points=3,
                       protocol="elhage2022,steps=50,batch_size=64", replicas=2),
        quick=_Settings(points=12, protocol="elhage2022,steps=5000"),
        full=_Settings(),
        compute=_compute,
        measure=_measure,
        draw=_draw,
        caption=_caption,
    ),
)  # fmt: skip
