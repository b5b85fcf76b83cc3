"""Identities that Elhage et al. 2022 state: linear loss, sparsity expansion, rotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import sympy
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import ortho_group

from ....features import FeatureDistribution, Independent
from ....numerics import population_loss
from ....theory import (
    OPTIMAL,
    expected_loss,
    linear_loss,
    multilinear_expansion,
    regular_polygon,
    s,
)
from ....values import ValueDistribution
from ..captions import listed, sentence
from ..drawing import BLUE, DENSITY_AXIS, GREEN, ORANGE, PURPLE, SKY, VERMILION, panels
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import by_density, train_along_density

__all__ = ["EXPERIMENTS"]

Floats = NDArray[np.float64]
_PLACE: Final = "Elhage et al. 2022"


@dataclass(frozen=True)
class _LinearSettings:
    n_features: int = 20
    n_hidden: int = 5
    decay: float = 0.7
    density: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    protocol: str = "elhage2022"
    replicas: int = 20


_LINEAR_CASES: Final[Mapping[str, tuple[Any, FeatureDistribution, sympy.Expr]]] = {
    "best bias": (OPTIMAL, Independent(), s / 3 - s**2 / 4),
    "no bias, values of mean 0": (0, Independent(ValueDistribution([1], symmetric=True)), s / 3),
    "no bias, values in [0, 1]": (0, Independent(), s / 3),
}
"""Bias, features and the square or variance that the two terms are multiplied by."""


def _compute_linear(settings: _LinearSettings, run: Run) -> xr.Dataset:
    importance = settings.decay ** np.arange(settings.n_features)
    models = train_along_density(
        run, "models", settings.n_features, settings.n_hidden, density=settings.density,
        importance=importance, protocol=settings.protocol, replicas=settings.replicas,
        activation="linear",
    )  # fmt: skip
    parts = _parts(models)
    unequal = [_unequal_linear_terms(*case) for case in _LINEAR_CASES.values()]
    return parts.assign(
        unequal_terms=("case", unequal), trained_loss=models.trained_loss
    ).assign_coords(case=list(_LINEAR_CASES)).assign_attrs(
        models.attrs, n_features=settings.n_features, n_hidden=settings.n_hidden,
        decay=settings.decay,
    )  # fmt: skip


def _unequal_linear_terms(bias: Any, features: FeatureDistribution, factor: sympy.Expr) -> int:
    """Return how many terms the loss of two dimensions differs in from the source's formula."""
    W = sympy.Matrix(2, 3, sympy.symbols("w1:7", real=True))
    importance = sympy.symbols("I1:4", positive=True)
    loss = linear_loss(W, [bias] * 3, importance=importance, features=features)
    return _n_terms(loss - factor * _benefit_and_interference(W, importance))


def _benefit_and_interference(W: sympy.Matrix, importance: Any) -> sympy.Expr:
    """Return Σ_i I_i (1 − ‖W_i‖²)² + Σ_{i≠j} I_j (W_j·W_i)², as the source writes it."""
    n = W.shape[1]
    columns = [W[:, i] for i in range(n)]
    benefit = sum(importance[i] * (1 - columns[i].dot(columns[i])) ** 2 for i in range(n))
    overlaps = sum(
        importance[j] * columns[j].dot(columns[i]) ** 2
        for i in range(n)
        for j in range(n)
        if i != j
    )
    return benefit + overlaps


def _n_terms(difference: sympy.Expr) -> int:
    expanded = sympy.expand(difference)
    return 0 if expanded == 0 else len(sympy.Add.make_args(expanded))


def _parts(models: xr.Dataset) -> xr.Dataset:
    """Return the parts of the loss of linear models: benefit, interference, and what b misses."""
    W, b = models.W, models.b
    density, importance = models.density, models.importance
    variance, mean = density / 3 - density**2 / 4, density / 2
    gram = xr.dot(W, W.rename(feature="other"), dim="hidden")
    same = models.importance.copy(data=np.arange(models.sizes["feature"]))
    diagonal = (W**2).sum("hidden")
    apart = gram.where(same != same.rename(feature="other"), 0.0)
    wanted = mean * (1 - gram.sum("other"))  # the best bias, (1 − WᵀW) μ
    return xr.Dataset(
        {
            "benefit": variance * (importance * (1 - diagonal) ** 2).sum("feature"),
            "interference": variance * (importance * (apart**2).sum("other")).sum("feature"),
            "offset": (importance * (wanted - b) ** 2).sum("feature"),
            "offset_without_bias": (importance * wanted**2).sum("feature"),
        }
    )


def _measure_linear(data: xr.Dataset) -> Mapping[str, Measured]:
    remainder = 1 - (data.benefit + data.interference) / data.trained_loss
    return {
        "unequal_terms": _exact(data.unequal_terms, "case"),
        "trained_remainder": by_density(remainder, Measurement.mean),
    }


def _exact(values: xr.DataArray, dim: str) -> dict[str, Measurement]:
    return {
        str(name): Measurement.exact(float(values.sel({dim: name}))) for name in values[dim].values
    }


def _draw_linear(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, 2, width=4.6, height=3.6)
    base = data.benefit + data.interference
    titles = ("trained biases", "the same weights without bias")
    for ax, title, offset in zip(
        axes[0], titles, (data.offset, data.offset_without_bias), strict=True
    ):
        total = base + offset
        for part, label, color in (
            (data.benefit, r"$\sum_i I_i (1 - \|W_i\|^2)^2$", BLUE),
            (data.interference, r"$\sum_{i \neq j} I_j (W_j \cdot W_i)^2$", VERMILION),
            (offset, "mean that the bias misses", ORANGE),
        ):
            share = (part / total).mean("replica")
            ax.plot(share.density, share, "-o", color=color, label=label, markersize=4)
        ax.set(**DENSITY_AXIS, yscale="log", ylim=(1e-8, 3), title=title)
    exact = (data.trained_loss / (base + data.offset)).mean("replica")
    axes[0, 0].plot(exact.density, exact, "x", color="black", label="exact loss of the model")
    axes[0, 0].set_ylabel("share of the loss")
    axes[0, 0].legend(fontsize=8, loc="lower left")
    return figure


def _caption_linear(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"Parts of the loss of linear models of n = {data.attrs['n_features']} features in "
        f"m = {data.attrs['n_hidden']} dimensions, importances falling by a factor of "
        f"{data.attrs['decay']:g}, at densities s = P(x_i ≠ 0) of {listed(data.density.values)}: "
        f"feature benefit and interference, times the variance s/3 − s²/4, and the squared distance "
        f"of the bias from the best one, which the source leaves out.",
    )


@dataclass(frozen=True)
class _ExpansionSettings:
    cases: tuple[str, ...]
    points: int = 121


_F = Fraction
_EXPANSIONS: Final[Mapping[str, tuple[Any, Any]]] = {
    "antipodal pair": ([[1, -1]], None),
    "pair with biases": ([[1, _F(-3, 4)]], [_F(1, 10), _F(-1, 5)]),
    "four in two": ([[1, _F(-1, 2), _F(1, 3), 0], [0, _F(3, 4), _F(-2, 3), 1]], None),
    "pentagon": (regular_polygon(5).W, None),
}
_SPARSE: Final = 1e-3


def _compute_expansion(settings: _ExpansionSettings, run: Run) -> xr.Dataset:
    density = np.geomspace(_SPARSE, 1, settings.points)
    parts = [_expanded(*_EXPANSIONS[name], density) for name in settings.cases]
    data = xr.concat(
        parts, xr.Variable("case", list(settings.cases)), data_vars="all", join="outer"
    )
    return data.assign_attrs(seed=run.seed)


def _expanded(W: Any, b: Any, density: Floats) -> xr.Dataset:
    n = sympy.Matrix(W).shape[1]
    expansion = multilinear_expansion(W, b).by_count()
    difference = _n_terms(sympy.radsimp(sympy.expand(expansion.loss - expected_loss(W, b))))
    numbers = np.array([float(term) for term in expansion.terms])
    count = np.arange(n + 1)[:, np.newaxis]
    terms = density**count * (1 - density) ** (n - count) * numbers[:, np.newaxis]
    biases = np.zeros(n) if b is None else np.array(b, dtype=np.float64)
    weights = np.array(sympy.Matrix(W).evalf(), dtype=np.float64)
    exact = population_loss(weights, biases, density=density[:, np.newaxis], importance=np.ones(n))
    return xr.Dataset(
        {
            "contribution": (("count", "density"), terms),
            "exact_loss": ("density", exact),
            "unequal_terms": difference,
            "unequal_first": np.nan if b is not None else _unequal_first(W, expansion.terms[1]),
        },
        coords={"count": np.arange(n + 1), "density": density},
    )


def _unequal_first(W: Any, found: sympy.Expr) -> int:
    """Return 0 if L_1 is Σ_i [(1 − ‖W_i‖²)² + Σ_{j≠i} (W_i·W_j)₊²]/3, the source's formula."""
    gram = (sympy.Matrix(W).T * sympy.Matrix(W)).applyfunc(sympy.nsimplify)
    n = gram.shape[0]
    stated = sum(
        (1 - gram[i, i]) ** 2 if i == j else sympy.Max(0, gram[i, j]) ** 2
        for i in range(n)
        for j in range(n)
    )
    return int(sympy.simplify(found - sympy.Rational(1, 3) * stated) != 0)


def _measure_expansion(data: xr.Dataset) -> Mapping[str, Measured]:
    total = data.contribution.sum("count")
    few = data.contribution.sel(count=slice(0, 1)).sum("count").isel(density=0)
    difference = (abs(total - data.exact_loss) / data.exact_loss).max("density")
    first = data.unequal_first.dropna("case")
    return {
        "unequal_terms": _exact(data.unequal_terms, "case"),
        "unequal_first_terms": _exact(first, "case"),
        "numerical_difference": _exact(difference, "case"),
        "share_of_one": _exact(few / total.isel(density=0), "case"),
    }


def _draw_expansion(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, data.sizes["case"], width=3.0, height=3.4)
    colors = (SKY, BLUE, VERMILION, GREEN, ORANGE, PURPLE)
    for ax, name in zip(axes[0], data.case.values, strict=True):
        here = data.contribution.sel(case=name).dropna("count")
        share = here / here.sum("count")
        for k, color in zip(share["count"].values, colors, strict=False):
            ax.plot(share.density, share.sel(count=k), color=color, label=f"$k$ = {k}")
        ax.set(**DENSITY_AXIS, ylim=(-0.03, 1.03), title=name)
        ax.legend(fontsize=7, title="features on", title_fontsize=7)
    axes[0, 0].set_ylabel(r"share $s^k (1 - s)^{n - k} L_k$ of the loss")
    return figure


def _caption_expansion(data: xr.Dataset) -> str:
    return (
        f"Shares of the loss of ReLU models that come from inputs with k features on, against the "
        f"density s = P(x_i ≠ 0): {', '.join(map(str, data.case.values))}. Exact polynomials in s; "
        f"importances are equal, nothing is trained and no seed enters."
    )


@dataclass(frozen=True)
class _RotationSettings:
    maps: int
    points: int = 61
    samples: int = 1000


_MODELS: Final[Mapping[str, tuple[int, int, str]]] = {
    "ReLU, 5 in 2": (5, 2, "relu"),
    "ReLU, 20 in 5": (20, 5, "relu"),
    "linear, 20 in 5": (20, 5, "linear"),
}
_DENSITY: Final = 0.1
_TRIPLES: Final = ((3, 4, 5), (5, 12, 13), (8, 15, 17))


def _compute_rotation(settings: _RotationSettings, run: Run) -> xr.Dataset:
    rng = np.random.default_rng(run.seed)
    changes = [_changes(*model, settings, rng) for model in _MODELS.values()]
    loss_change, output_change = np.array(changes).T
    path, losses = _paths(settings.points)
    return xr.Dataset(
        {
            "loss_change": ("model", loss_change),
            "output_change": ("model", output_change),
            "unequal_losses": ("triple", [_unequal_rotated(*triple) for triple in _TRIPLES]),
            "loss": (("map", "path"), losses),
        },
        coords={
            "model": list(_MODELS),
            "triple": ["/".join(map(str, triple)) for triple in _TRIPLES],
            "map": list(_MAPS),
            "path": path,
        },
        attrs={"maps": settings.maps, "samples": settings.samples, "seed": run.seed},
    )


def _changes(
    n: int, m: int, activation: str, settings: _RotationSettings, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the greatest change of the loss, relative, and of an output under orthogonal maps."""
    W, b = rng.normal(0, np.sqrt(1 / m), (m, n)), rng.normal(0, 0.2, n)
    x = rng.uniform(size=(settings.samples, n)) * (rng.uniform(size=(settings.samples, n)) < 0.5)
    maps = ortho_group.rvs(m, size=settings.maps, random_state=rng).reshape(-1, m, m)
    turned = maps @ W
    model: dict[str, Any] = {
        "density": _DENSITY,
        "importance": np.ones(n),
        "activation": activation,
    }
    before = float(population_loss(W, b, **model))
    after = population_loss(turned, np.broadcast_to(b, (len(turned), n)), **model)
    outputs = _outputs(W, b, x, activation)
    moved = max(abs(_outputs(each, b, x, activation) - outputs).max() for each in turned)
    return float(abs(after / before - 1).max()), float(moved)


def _outputs(W: Floats, b: Floats, x: Floats, activation: str) -> Floats:
    """Return σ(Wᵀ(W x) + b), through the hidden layer."""
    outputs = (x @ W.T) @ W + b
    return np.maximum(outputs, 0) if activation == "relu" else outputs


def _unequal_rotated(a: int, b: int, c: int) -> int:
    """Return 1 if the exact loss of rational weights changes under a rotation of cosine a/c."""
    W = sympy.Matrix([[1, _F(-1, 2), _F(1, 3)], [0, _F(3, 4), _F(-2, 3)]])
    turn = sympy.Matrix([[a, -b], [b, a]]) / c
    biases = [_F(1, 10), _F(-1, 5), 0]
    return int(_n_terms(expected_loss(turn * W, biases) - expected_loss(W, biases)) > 0)


_MAPS: Final = (
    "rotation of the hidden space",
    "reflection",
    "stretching an axis",
    "rotating features",
)


def _paths(points: int) -> tuple[Floats, Floats]:
    """Return losses of the regular pentagon under maps that depend on an angle."""
    angle = np.linspace(0, 2 * np.pi, points)
    corner = 2 * np.pi * np.arange(5) / 5
    W = np.stack([np.cos(corner), np.sin(corner)])
    cosine, sine = np.cos(angle), np.sin(angle)
    one = np.ones_like(angle)
    hidden = (
        np.array([[cosine, -sine], [sine, cosine]]),
        np.array([[cosine, sine], [sine, -cosine]]),
        np.array([[1 + 0.2 * sine, 0 * one], [0 * one, one]]),
    )
    weights = [np.moveaxis(matrix, -1, 0) @ W for matrix in hidden]
    mixing = np.broadcast_to(np.eye(5), (points, 5, 5)).copy()
    mixing[:, :2, :2] = np.moveaxis(hidden[0], -1, 0)
    weights.append(W @ mixing)
    loss = population_loss(
        np.stack(weights), np.full(5, -0.1), density=_DENSITY, importance=np.ones(5)
    )
    return angle, np.asarray(loss)


def _measure_rotation(data: xr.Dataset) -> Mapping[str, Measured]:
    return {
        "unequal_losses": _exact(data.unequal_losses, "triple"),
        "relative_change": _exact(data.loss_change, "model"),
        "output_change": _exact(data.output_change, "model"),
    }


def _draw_rotation(data: xr.Dataset) -> Figure:
    figure, axes = panels(1, 1, width=5.6, height=3.6)
    ax = axes[0, 0]
    styles = ((BLUE, "-"), (ORANGE, "--"), (VERMILION, "-."), (GREEN, ":"))
    for name, (color, style) in zip(data["map"].values, styles, strict=True):
        loss = data.loss.sel({"map": name})
        ax.plot(data.path / np.pi, loss / loss.isel(path=0).item(), style, color=color, label=name)
    ax.set(xlabel="angle, in units of π", ylabel="exact loss, relative to angle 0")
    ax.legend(fontsize=8)
    return figure


def _caption_rotation(data: xr.Dataset) -> str:
    return (
        f"Exact loss of a ReLU model, the regular pentagon with b = −0.1 (n = 5, m = 2, density "
        f"s = P(x_i ≠ 0) = {_DENSITY:g}), under orthogonal maps of the hidden space, which leave it "
        f"as it is, and under two others, which do not: a hidden axis stretched by 1 + 0.2 sin of the "
        f"angle, and two features rotated into each other. Nothing is trained. Measured: "
        f"{data.attrs['maps']} random orthogonal maps of random models and {data.attrs['samples']} "
        f"inputs each, seed {data.attrs['seed']}, and rational rotations of rational weights."
    )


_LINEAR: Final = Experiment(
    name="linear-loss",
    title="The loss of linear models: feature benefit and interference",
    source=f"{_PLACE}, mathematical understanding",
    tiny=_LinearSettings(6, 2, density=(1.0, 0.1), replicas=2,
                         protocol="elhage2022,steps=20,batch_size=32"),
    quick=_LinearSettings(replicas=5),
    full=_LinearSettings(),
    compute=_compute_linear,
    measure=_measure_linear,
    draw=_draw_linear,
    caption=_caption_linear,
)  # fmt: skip
_EXPANSION: Final = Experiment(
    name="sparsity-expansion",
    title="The loss sorted by how many features are on",
    source=f"{_PLACE}, mathematical understanding",
    tiny=_ExpansionSettings(("antipodal pair", "pair with biases"), 4),
    quick=_ExpansionSettings(tuple(_EXPANSIONS)),
    full=_ExpansionSettings(tuple(_EXPANSIONS)),
    compute=_compute_expansion,
    measure=_measure_expansion,
    draw=_draw_expansion,
    caption=_caption_expansion,
)
_ROTATION: Final = Experiment(
    name="rotation",
    title="Rotations of the hidden space leave the loss as it is",
    source=_PLACE,
    tiny=_RotationSettings(2, 5, 10),
    quick=_RotationSettings(20),
    full=_RotationSettings(100),
    compute=_compute_rotation,
    measure=_measure_rotation,
    draw=_draw_rotation,
    caption=_caption_rotation,
)

EXPERIMENTS: Final = (_LINEAR, _EXPANSION, _ROTATION)
