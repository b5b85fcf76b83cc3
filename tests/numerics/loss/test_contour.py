"""Sums over nodes against closed forms, reductions to one dimension, sampling, and mpmath.

`population_loss_and_grad` returns bounds on its errors. Here they are put to the test: what another
route gives must lie within them, and they must be as small as was asked for. The closed forms are
tested against rational arithmetic elsewhere (`test_exact`, `test_general_recurrence`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import pytest
import torch
from mpmath import mp
from numpy.typing import NDArray

from superposition import (
    UNIFORM,
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import FeatureDistribution
from superposition.numerics import population_loss, population_loss_and_grad, training_batch
from superposition.numerics.loss import batch, laws
from superposition.numerics.loss.contour import model
from superposition.numerics.loss.contour.accuracy import ModelOutputs, Target, sum_outputs
from superposition.numerics.loss.contour.loss import contour_work, loss_of_output
from superposition.numerics.loss.contour.plan import MAX_NODES
from superposition.numerics.loss.contour.tensors import sum_outputs_on
from superposition.numerics.loss.contour.transform import real_transform, transform, value_transform
from superposition.numerics.loss.exact import LossAndGradient
from superposition.numerics.loss.joint_states import MAX_STATES

RTOL = 1e-9
GRADIENT_RTOL = 1e-8  # of the empty model's loss per output, documented
SIGMAS = 5

Floats = NDArray[np.float64]

VALUES = {
    "uniform": UNIFORM,
    "2u": ValueDistribution([0, 2]),
    "6u(1-u)": ValueDistribution([0, 6, -6]),
    "12(u-1/2)^2": ValueDistribution([3, -12, 12]),
    "symmetric": ValueDistribution([1], symmetric=True),
    "symmetric-2u": ValueDistribution([0, 2], symmetric=True),
}

PAIR_AND_TRIPLE = [(0, 1), (2, 3, 4)]

FEATURES: dict[str, tuple[FeatureDistribution, tuple[float, ...]]] = {
    "independent": (Independent(), (1e-8, 1e-3, 0.05, 0.3, 0.9, 1.0)),
    "correlated": (Correlated(PAIR_AND_TRIPLE), (1e-8, 0.05, 0.9, 1.0)),
    "anticorrelated": (Anticorrelated(PAIR_AND_TRIPLE), (1e-3, 0.05, 1 / 3)),
    "co-active": (CoActive(), (0.01, 0.5, 1.0)),
    "one-hot": (OneHot(), (1 / 7,)),
    **{
        f"independent-{name}": (Independent(values), (0.05, 0.6))
        for name, values in VALUES.items()
        if name != "uniform"
    },
    "correlated-2u": (Correlated([(0, 1, 2)], VALUES["2u"]), (0.2,)),
    "anticorrelated-symmetric": (Anticorrelated(PAIR_AND_TRIPLE, VALUES["symmetric"]), (0.2,)),
}


def sizes(name: str) -> int:
    return 5 if name.endswith(("2u", ")", "^2", "symmetric")) else 7


def weights(n: int, kind: str, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Weights whose couplings are of all kinds: zeros, equal ones, pairs that cancel, tiny, huge."""
    W = rng.normal(size=(3, n)) / np.sqrt(3)
    b = 0.2 * rng.normal(size=n) - 0.1
    if kind == "grid":  # couplings that vanish, repeat and cancel
        W = np.round(1.2 * W)
        b = np.round(4 * b) / 4
    elif kind == "one-huge-many-tiny":
        W *= 0.01
        W[:, 0] *= 1e3
    elif kind == "pairs-cancel":
        W[:, 1::2] = -W[:, : n - 1 : 2]
    elif kind == "a-column-is-zero":
        W[:, 1] = 0.0
    return W, b


KINDS = ("random", "grid", "one-huge-many-tiny", "pairs-cancel", "a-column-is-zero")


@pytest.fixture
def only_sums(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return a function that makes all outputs sums over nodes, or all closed forms."""

    def choose(sums: bool) -> None:
        monkeypatch.setattr(laws, "RECURRENCE_FEATURES", 0 if sums else 10)
        monkeypatch.setattr(laws, "RECURRENCE_STATES", 0 if sums else MAX_STATES)

    return choose


def gradient_difference(one: LossAndGradient, other: LossAndGradient) -> float:
    return float(max(abs(one.dW - other.dW).max(), abs(one.db - other.db).max()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FEATURES)
def test_closed_forms_lie_within_the_bounds(
    name: str, kind: str, only_sums: Callable[[bool], None]
) -> None:
    features, densities = FEATURES[name]
    n = sizes(name)
    rng = np.random.default_rng([len(name), len(kind)])
    for density in densities:
        W, b = weights(n, kind, rng)
        density = 1 / n if name == "one-hot" else density
        arguments: dict[str, Any] = {
            "density": density,
            "importance": rng.choice([1.0, 0.3, 0.0], size=n, p=[0.6, 0.3, 0.1]),
            "features": features,
        }
        only_sums(False)
        closed = population_loss_and_grad(W, b, **arguments)
        only_sums(True)
        summed = population_loss_and_grad(W, b, rtol=RTOL, **arguments)
        assert abs(summed.loss - closed.loss) <= summed.error + closed.error, density
        assert gradient_difference(summed, closed) <= summed.gradient_error + closed.gradient_error
        assert summed.error <= RTOL * closed.loss + 1e-300, density


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10, 1e-12])
@pytest.mark.parametrize("density", [0.02, 0.3, 0.95])
def test_tolerance_is_honored(
    rtol: float, density: float, only_sums: Callable[[bool], None]
) -> None:
    W, b = weights(8, "random", np.random.default_rng(8))
    arguments: dict[str, Any] = {"density": density, "importance": np.ones(8)}
    only_sums(False)
    closed = population_loss_and_grad(W, b, **arguments)
    only_sums(True)
    summed = population_loss_and_grad(W, b, rtol=rtol, **arguments)
    assert abs(summed.loss - closed.loss) <= summed.error <= rtol * closed.loss
    assert gradient_difference(summed, closed) <= summed.gradient_error
    empty = density * 8 / 3
    lengths = abs(W).sum(axis=1).max() + abs(W).sum()
    assert summed.gradient_error <= 10 * rtol * max(empty, closed.loss) / 8 * lengths
    # without a gradient there are fewer nodes, and the same promise
    loss = population_loss(W, b, rtol=rtol, **arguments)
    assert abs(loss - closed.loss) <= rtol * closed.loss


def test_unreachable_tolerance_gives_a_larger_bound() -> None:
    """A tolerance below rounding is no error: the bound says what was reached."""
    n = 40
    W, b = weights(n, "random", np.random.default_rng(0))
    at = population_loss_and_grad(W, b, density=0.3, importance=np.ones(n), rtol=1e-14)
    better = population_loss_and_grad(W, b, density=0.3, importance=np.ones(n), rtol=1e-11)
    assert 1e-14 * at.loss < at.error < 1e-10 * at.loss
    assert abs(at.loss - better.loss) <= at.error + better.error


# --- n equal features: one dimension, in mpmath ---------------------------------------------------


def loss_of_equal_couplings(n: int, g: float, own: float, bias: float, density: float) -> mp.mpf:
    """E (x_i − z₊)² for n − 1 other features of one coupling: the Irwin-Hall law of their sum.

    E f(x_1 + … + x_k) = Σ_j (−1)^(k−j) C(k, j) F_k(j), F_k the k-fold integral of f; here f is a
    piecewise polynomial, and 60 digits make up for the cancellation.
    """

    def average(k: int, power: int, weight: int, offset: mp.mpf) -> mp.mpf:
        """E x^weight (own x + g (x_1 + … + x_k) + offset)₊^power, x uniform too."""

        def below(y: mp.mpf) -> mp.mpf:
            total = mp.mpf(0)
            for j in range(k + 1):
                at = y + mp.mpf(g) * j + offset
                if at > 0:
                    total += (-1) ** (k - j) * comb(k, j) * at ** (power + k)
            return total * mp.factorial(power) / (mp.factorial(power + k) * mp.mpf(g) ** k)

        breaks = sorted({mp.mpf(0), mp.mpf(1)} | {
            x for j in range(k + 1) if own
            for x in [-(mp.mpf(g) * j + offset) / mp.mpf(own)] if 0 < x < 1
        })  # fmt: skip
        # polynomials between the breaks, of degree up to k + 3: 24 nodes are exact up to 47
        return mp.quad(
            lambda x: x**weight * below(mp.mpf(own) * x), breaks, method="gauss-legendre",
            maxdegree=3,
        )  # fmt: skip

    def without(k: int) -> mp.mpf:
        total = mp.mpf(0)
        for j in range(k + 1):
            at = mp.mpf(g) * j + mp.mpf(bias)
            if at > 0:
                total += (-1) ** (k - j) * comb(k, j) * at ** (2 + k)
        return total * 2 / (mp.factorial(2 + k) * mp.mpf(g) ** k)

    with mp.workdps(60):
        s, b = mp.mpf(density), mp.mpf(bias)
        loss = mp.mpf(0)
        for k in range(n):
            weight = comb(n - 1, k) * s**k * (1 - s) ** (n - 1 - k)
            on = mp.mpf(1) / 3 - 2 * average(k, 1, 1, b) + average(k, 2, 0, b)
            loss += weight * (s * on + (1 - s) * without(k))
        return loss


@pytest.mark.parametrize(
    ("n", "g", "own", "bias", "density"),
    [
        (12, 0.5, 1.0, -0.3, 0.2),
        (20, -0.25, 0.5, 0.4, 0.5),
        (20, 0.125, 0.75, -0.5, 0.05),
        (16, -1.0, 1.0, 0.0, 0.1),
        (14, 0.25, 0.25, -1.0, 1.0),
    ],
)
def test_equal_couplings_against_one_dimension(
    n: int, g: float, own: float, bias: float, density: float
) -> None:
    couplings = np.full(n, g)
    couplings[0] = own
    exact = loss_of_equal_couplings(n, g, own, bias, density)
    work, gradient = contour_work(Independent(), n), np.empty(n)
    found = loss_of_output(
        0, couplings, 1 - own, bias, np.full(n, density), 1e-11 * float(exact), np.inf, MAX_NODES,
        work, gradient,
    )  # fmt: skip
    assert abs(mp.mpf(found.value) - exact) <= found.error
    assert found.error <= 1e-11 * exact


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "n", "density"),
    [
        (None, 25, 0.05),
        (None, 25, 0.6),
        (Correlated([(0, 1, 2), (3, 4)]), 12, 0.2),
        (Anticorrelated([(0, 1, 2), (3, 4)]), 12, 0.2),
        (Independent(VALUES["symmetric-2u"]), 12, 0.2),
    ],
    ids=repr,
)
def test_gradient_is_that_of_the_loss(
    features: FeatureDistribution | None, n: int, density: float
) -> None:
    """Central differences of the loss: their error is h² times a third derivative of about 1."""
    rng = np.random.default_rng(n)
    W, b = weights(n, "random", rng)
    arguments: dict[str, Any] = {
        "density": density, "importance": rng.random(n), "features": features, "rtol": 1e-12,
        "penalty": 0.3,
    }  # fmt: skip
    at = population_loss_and_grad(W, b, **arguments)
    h = 1e-4
    for _ in range(3):
        dW, db = rng.normal(size=W.shape), rng.normal(size=n)
        above, below = (
            population_loss(W + side * h * dW, b + side * h * db, **arguments) for side in (1, -1)
        )
        slope = (at.dW * dW).sum() + (at.db * db).sum()
        assert abs((above - below) / (2 * h) - slope) <= 1e-5 * (1 + abs(slope))


def test_kinks_of_the_gradient_take_the_active_side() -> None:
    """A column of zeros with no bias: z = 0 always, as in the closed forms."""
    rng = np.random.default_rng(3)
    W, b = weights(12, "random", rng)
    W[:, 4], b[4] = 0.0, 0.0
    arguments: dict[str, Any] = {"density": 0.3, "importance": np.ones(12)}
    at = population_loss_and_grad(W, b, **arguments)
    b[4] = 1e-9
    above = population_loss_and_grad(W, b, **arguments)
    assert at.db[4] == pytest.approx(above.db[4], abs=1e-8)
    assert at.db[4] == pytest.approx(-2 * 0.3 / 2)


# --- many features --------------------------------------------------------------------------------


def sampled_loss(
    W: Floats, b: Floats, density: float, features: FeatureDistribution, draws: int
) -> tuple[float, float]:
    """Mean and its standard error, by the plain definition."""
    n, batch = len(b), 20_000
    rng, means = np.random.default_rng(5), []
    for k in range(draws // batch):
        if isinstance(features, Independent) and features.values.is_uniform:
            x = (rng.random((batch, n)) < density) * rng.random((batch, n))
        else:
            x = training_batch(np.full(n, density), batch, features=features, seed=k)
        means.append(((x - np.maximum(x @ (W.T @ W) + b, 0)) ** 2).sum(axis=1))
    losses = np.concatenate(means)
    return float(losses.mean()), float(losses.std() / np.sqrt(len(losses)))


@pytest.mark.parametrize(
    ("features", "n", "density"),
    [
        (Independent(), 60, 0.05),
        (Independent(), 60, 0.7),
        (Correlated([tuple(range(10)), tuple(range(10, 20))]), 40, 0.1),
        (Anticorrelated([tuple(range(5 * k, 5 * k + 5)) for k in range(8)]), 40, 0.15),
        (CoActive(), 30, 0.5),
        (OneHot(VALUES["symmetric"]), 40, 1 / 40),
        (Independent(VALUES["2u"]), 40, 0.1),
    ],
    ids=repr,
)
def test_many_features_against_sampling(
    features: FeatureDistribution, n: int, density: float
) -> None:
    rng = np.random.default_rng(n)
    W = rng.normal(size=(8, n))
    W /= np.linalg.norm(W, axis=0)
    b = -0.2 * rng.random(n)
    exact = float(population_loss(W, b, density=density, importance=np.ones(n), features=features))
    mean, sigma = sampled_loss(W, b, density, features, 100_000)
    assert abs(exact - mean) <= SIGMAS * sigma
    assert sigma < 0.02 * exact  # else the test would not notice much


def test_a_thousand_features() -> None:
    """Blocks that do not see each other: their losses add up, and each has a closed form."""
    rng = np.random.default_rng(1)
    n, block = 1000, 5
    W = np.zeros((2 * n // block, n))
    b = 0.1 * rng.normal(size=n) - 0.05
    for k in range(n // block):
        W[2 * k : 2 * k + 2, block * k : block * (k + 1)] = rng.normal(size=(2, block))
    arguments: dict[str, Any] = {"density": 0.1, "importance": np.ones(n)}
    whole = population_loss_and_grad(W, b, **arguments)
    parts = [
        population_loss_and_grad(
            W[2 * k : 2 * k + 2, block * k : block * (k + 1)], b[block * k : block * (k + 1)],
            density=0.1, importance=np.ones(block),
        )
        for k in range(n // block)
    ]  # fmt: skip
    assert whole.loss == pytest.approx(sum(float(part.loss) for part in parts), rel=1e-13)
    assert whole.db[:block] == pytest.approx(parts[0].db, abs=1e-13)
    assert whole.dW[:2, :block] == pytest.approx(parts[0].dW, abs=1e-13)
    turned = np.linalg.qr(rng.normal(size=(W.shape[0], W.shape[0])))[0] @ W
    # Turned, the zeros of WᵀW are of the size of rounding, and taken for what they are.
    assert population_loss(turned, b, **arguments) == pytest.approx(float(whole.loss), rel=1e-9)


@pytest.mark.parametrize("density", [0.01, 0.5])
def test_symmetries(density: float) -> None:
    rng = np.random.default_rng(2)
    n = 30
    W, b = weights(n, "random", rng)
    importance = rng.random(n)
    at = population_loss_and_grad(W, b, density=density, importance=importance)
    order = rng.permutation(n)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned = population_loss_and_grad(
        (Q @ W)[:, order], b[order], density=density, importance=importance[order]
    )
    assert abs(at.loss - turned.loss) <= at.error + turned.error
    assert abs(Q @ at.dW[:, :] - turned.dW[:, np.argsort(order)]).max() <= 2 * (
        at.gradient_error + turned.gradient_error
    )


def test_outputs_that_are_always_on_or_never() -> None:
    """Large biases leave a polynomial: squared mean plus variance, or E x² of a dead output."""
    rng = np.random.default_rng(4)
    n, s = 30, 0.2
    W, b = weights(n, "random", rng)
    importance = np.ones(n)
    dead = population_loss(W, b - 1e4, density=s, importance=importance)
    assert dead == pytest.approx(n * s / 3, rel=1e-12)
    on = population_loss_and_grad(W, b + 1e4, density=s, importance=importance)
    linear = population_loss_and_grad(
        W, b + 1e4, density=s, importance=importance, activation="linear"
    )
    assert on.loss == pytest.approx(float(linear.loss), rel=1e-13)
    assert on.dW == pytest.approx(linear.dW, rel=1e-9, abs=1e-6)


def test_densities_of_zero_leave_features_out() -> None:
    rng = np.random.default_rng(6)
    n = 20
    W, b = weights(n, "random", rng)
    density = np.where(np.arange(n) < 12, 0.3, 0.0)
    importance = (np.arange(n) < 12).astype(float)
    whole = population_loss_and_grad(W, b, density=density, importance=importance)
    part = population_loss_and_grad(W[:, :12], b[:12], density=0.3, importance=np.ones(12))
    assert abs(whole.loss - part.loss) <= whole.error + part.error
    assert abs(whole.dW[:, :12] - part.dW).max() <= whole.gradient_error + part.gradient_error


@pytest.mark.parametrize("distance", [1e-3, 1e-6])
def test_near_perfect_reconstruction(distance: float, only_sums: Callable[[bool], None]) -> None:
    """The loss is of the size of the squared distance, and accurate relative to itself.

    So is `general_recurrence`, the oracle, but not the one for independent features.
    """
    rng = np.random.default_rng(9)
    n = 6
    W = np.linalg.qr(rng.normal(size=(n, n)))[0] + distance * rng.normal(size=(n, n))
    b = distance * rng.normal(size=n)
    arguments: dict[str, Any] = {
        "density": 0.3, "importance": np.ones(n), "features": Anticorrelated([(0, 1)]),
    }  # fmt: skip
    only_sums(False)
    closed = population_loss(W, b, **arguments)
    only_sums(True)
    summed = population_loss_and_grad(W, b, **arguments)
    assert closed < 100 * distance**2
    assert abs(summed.loss - closed) <= summed.error + 1e-13 * closed
    assert summed.error <= RTOL * closed


# --- transforms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
def test_transforms_are_integrals(name: str) -> None:
    """V, V' and V'' against integrals of 25 digits, on both sides of where the series ends."""
    values = VALUES[name]
    law = value_transform(values)
    density = [mp.mpf(c.numerator) / c.denominator for c in values.coefficients]
    sides = (1, -1) if values.symmetric else (1,)
    for t in (0.3 + 0.2j, -0.999 * law.radius, 1.001j * law.radius, 5 - 8j, -20 + 3j, 50j):
        for order in range(3):
            with mp.workdps(25):
                exact = mp.mpf(0)
                for side in sides:
                    breaks = mp.linspace(0, 1, 9)
                    exact += mp.quad(
                        lambda x, side=side, t=t, order=order: (
                            mp.polyval(density[::-1], x)
                            * (side * x) ** order
                            * mp.exp(side * mp.mpc(t) * x)
                        ),
                        breaks,
                    ) / len(sides)
                found = complex(transform(law, order, complex(t)))
                size = mp.exp(abs(mp.re(t))) if values.symmetric else max(1, mp.exp(mp.re(t)))
                assert abs(found - exact) <= 2e-14 * size
    assert real_transform(law, 0.0) == 1.0


# --- tensors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [300_000, 2**30])
@pytest.mark.parametrize("with_gradient", [True, False])
@pytest.mark.parametrize(
    ("features", "density"),
    [
        (Independent(), 0.05),
        (Independent(), 0.6),
        (Correlated([(0, 1), (2, 3, 4)]), 0.2),
        (Anticorrelated([(0, 1), (2, 3, 4)]), 0.2),
        (CoActive(VALUES["2u"]), 0.4),
        (Independent(VALUES["symmetric"]), 0.2),
    ],
    ids=repr,
)
def test_tensors_do_what_the_compiled_code_does(
    features: FeatureDistribution, density: float, with_gradient: bool, memory: int
) -> None:
    """The same nodes, summed by other code in another order."""
    rng = np.random.default_rng(7)
    n = 8
    W, b = weights(n, "random", rng)
    W[:, 3] = 0.0
    W[0, 5:] = 0.0
    contour = contour_work(features, n)
    gram = W.T @ W
    models = [
        ModelOutputs(
            gram, 1 - np.diag(gram), b, np.full(n, density), np.ones(n), np.zeros(n), np.zeros(n),
            np.zeros(n), np.zeros(n), np.zeros((n, n)),
        )
        for _ in range(2)
    ]  # fmt: skip
    target = Target(1e-6, 1e-5 if with_gradient else np.inf, 1, False)
    sum_outputs(np.arange(n), target, MAX_NODES, models[0], contour)
    sum_outputs_on(
        torch.device("cpu"), np.arange(n), target, MAX_NODES, models[1], contour, memory=memory
    )
    names = ("value", "slope", "dgram") if with_gradient else ("value", "slope")
    for name in names:
        np.testing.assert_allclose(
            getattr(models[1], name), getattr(models[0], name), rtol=1e-12, atol=1e-13
        )
    assert (models[1].error <= 2 * models[0].error).all()


def test_a_device_takes_the_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not on the CPU is summed where it is: here the device is only said to be another."""
    seen = []

    def spy(device: torch.device, *arguments: Any) -> None:
        seen.append(device)
        sum_outputs_on(torch.device("cpu"), *arguments)

    monkeypatch.setattr(model, "sum_outputs_on", spy)
    rng = np.random.default_rng(0)
    W, b = weights(12, "random", rng)
    rows = batch.Rows(W[None], b[None], np.full((1, 12), 0.1), np.ones((1, 12)), np.zeros(1), False)
    elsewhere = batch.losses_of_rows(rows, Independent(), RTOL, True, torch.device("meta"))
    here = batch.losses_of_rows(rows, Independent(), RTOL, True)
    assert set(seen) == {torch.device("meta")}
    np.testing.assert_allclose(elsewhere.loss, here.loss, rtol=1e-13)
    np.testing.assert_allclose(elsewhere.dW, here.dW, rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu() -> None:
    rng = np.random.default_rng(0)
    W, b = weights(30, "random", rng)
    arguments: dict[str, Any] = {"density": 0.05, "importance": np.ones(30)}
    here = population_loss_and_grad(W, b, **arguments)
    there = population_loss_and_grad(torch.tensor(W, device="cuda"), b, **arguments)
    assert there.loss.device.type == "cuda"
    np.testing.assert_allclose(there.loss.cpu().numpy(), here.loss, rtol=1e-12)
    np.testing.assert_allclose(there.dW.cpu().numpy(), here.dW, rtol=1e-9, atol=1e-12)


def test_autograd_of_many_features() -> None:
    rng = np.random.default_rng(0)
    W, b = weights(15, "random", rng)
    tensor = torch.tensor(W, requires_grad=True)
    arguments: dict[str, Any] = {"density": 0.1, "importance": np.ones(15)}
    population_loss(tensor, torch.tensor(b), **arguments).backward()
    at = population_loss_and_grad(W, b, **arguments)
    assert tensor.grad is not None
    np.testing.assert_array_equal(tensor.grad.numpy(), at.dW)


def test_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    W, b = weights(30, "random", rng)
    arguments: dict[str, Any] = {"density": 0.1, "importance": np.ones(30)}
    results = []
    for threads in (1, 3):
        monkeypatch.setattr("os.cpu_count", lambda threads=threads: threads)
        results.append(population_loss_and_grad(W, b, **arguments))
    assert results[0].loss == results[1].loss
    np.testing.assert_array_equal(results[0].dW, results[1].dW)
