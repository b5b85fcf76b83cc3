"""Exact losses of dependent features and other values: against rational arithmetic and sampling.

Tolerances: relative to the loss of each output, `RELATIVE` (measured: below 3e-15 on the models
here where the density of a value has no negative weight, see `beta_mixture`); gradients as in
`test_exact`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

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
from superposition.numerics import population_loss, population_loss_and_grad
from superposition.numerics.loss import general_recurrence, laws, quadrature, recurrence
from superposition.numerics.loss.joint_states import (
    MAX_STATES,
    joint_states,
    set_probabilities,
    state_count,
)
from superposition.numerics.loss.value_states import beta_mixture

RELATIVE = 2e-14
SIGMAS = 5

Floats = NDArray[np.float64]
Losses = Callable[..., list[Fraction]]

VALUES = {
    "uniform": UNIFORM,
    "2u": ValueDistribution([0, 2]),
    "2-2u": ValueDistribution([2, -2]),
    "6u(1-u)": ValueDistribution([0, 6, -6]),
    "12(u-1/2)^2": ValueDistribution([3, -12, 12]),
    "4u^3": ValueDistribution([0, 0, 0, 4]),
    "1/2+u": ValueDistribution([Fraction(1, 2), 1]),
    "symmetric": ValueDistribution([1], symmetric=True),
    "symmetric-2u": ValueDistribution([0, 2], symmetric=True),
}

Case = tuple[FeatureDistribution, list[float]]


@pytest.fixture(autouse=True)
def closed_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the recurrence where sums over nodes would be faster: it is the subject here."""
    monkeypatch.setattr(laws, "RECURRENCE_STATES", MAX_STATES)


def cases(n: int, values: ValueDistribution) -> list[Case]:
    rng = np.random.default_rng(n)
    independent = rng.choice([0.1, 0.5, 1.0, 1e-6], n).tolist()
    found: list[Case] = [
        (Independent(values), independent),
        (CoActive(values), [0.3] * n),
        (OneHot(values), rng.dirichlet(np.ones(n)).tolist()),
    ]
    if n > 1:
        found += [
            (Correlated([(n - 1, 0)], values), [0.4, *independent[1:-1], 0.4]),
            (Anticorrelated([(0, n - 1)], values), [0.3, *independent[1:-1], 0.6]),
        ]
    return found


EVERY_CASE = [
    pytest.param(*case, id=f"{type(case[0]).__name__}-{name}-{n}")
    for name, values in VALUES.items()
    for n in (1, 2, 3, 4)
    for case in cases(n, values)
    if n < 4 or name in ("uniform", "2u", "6u(1-u)")
]


def model(n: int, m: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    W = rng.standard_normal((m, n)) * 10.0 ** rng.choice([0, 0, 0, -9], size=(1, n))
    return W, rng.standard_normal(n) * rng.choice([0.0, 0.3, 1.0], size=n)


def losses_per_output(
    W: Any, b: Any, density: Any, features: FeatureDistribution, activation: str = "relu"
) -> Floats:
    losses: Floats = population_loss(
        W, b, density=np.asarray(density, dtype=float)[None], importance=np.eye(len(b)),
        features=features, activation=activation,
    )  # fmt: skip
    return losses


def assert_relative(
    W: Any, b: Any, density: Any, features: FeatureDistribution, oracle: Losses
) -> None:
    computed = losses_per_output(W, b, density, features)
    for i, (value, truth) in enumerate(
        zip(computed, oracle(W, b, density, "relu", features), strict=True)
    ):
        error = float(abs(Fraction(float(value)) - truth))
        assert error <= RELATIVE * float(truth), (i, error, float(truth), W, b)


@pytest.mark.parametrize(("features", "density"), EVERY_CASE)
def test_loss_of_every_output(
    features: FeatureDistribution, density: list[float], exact_losses: Losses
) -> None:
    n = len(density)
    rng = np.random.default_rng(n)
    for _ in range(3 if n < 3 else 1):
        assert_relative(*model(n, 2, rng), density, features, exact_losses)


ADVERSARIAL: dict[str, tuple[Any, Any, Any, FeatureDistribution]] = {
    "coupling-1e-9": ([[1, 1e-9, -1e-9]], [0.1, 0, -1e-10], [0.5] * 3, CoActive()),
    "coupling-1e-150": ([[1, 1e-150, -1]], [-0.1, 0, 0.2], [0.5] * 3, CoActive()),
    "no-coupling": ([[1, 0, 0], [0, 1, 0]], [0.1, -0.2, 0.3], [0.5] * 3, CoActive()),
    "zero-weights": ([[0, 0, 0]], [0, 0.1, -0.1], [0.5] * 3, CoActive()),
    "kink-at-a-vertex": ([[1, -0.5, 0.25]], [-0.5, 0.25, -0.125], [0.5] * 3, CoActive()),
    "kink-along-an-edge": ([[1, -1, 0.5]], [0, 0, 0], [0.7] * 3, CoActive()),
    "density-0": ([[1, -0.5, 0.25]], [-0.5, 0.25, 0.5], [0.0] * 3, CoActive()),
    "density-1": ([[1, -0.5, 0.25]], [-0.5, 0.25, 0.5], [1.0] * 3, CoActive()),
    "density-0-and-1-exclusive": ([[1, -0.5, 0.25]], [0.1, 0.2, 0.3], [1.0, 0.0, 0.0], OneHot()),
    "all-in-one-set": ([[1, -0.5, 0.25]], [0.1, 0.2, 0.3], [0.2, 0.5, 0.3],
                       Anticorrelated([(2, 0, 1)])),
    "two-sets": ([[1, -1, 0.6, -0.5], [0.2, 0.1, 1, -1]], [0.1, -0.1, 0, 0.05],
                 [0.5, 0.5, 0.25, 0.125], Anticorrelated([(0, 1), (3, 2)])),
    "dead": ([[1, -1, 0.5]], [-10, -3, -2], [0.5] * 3, CoActive()),
    "near-perfect": ([[1 + 1e-9, -1 + 1e-9]], [1e-10, -1e-10], [0.5, 0.5],
                     Anticorrelated([(0, 1)])),
    "near-perfect-2u": ([[1 + 1e-9, -1 + 1e-9]], [1e-10, -1e-10], [0.5, 0.5],
                        Anticorrelated([(0, 1)], VALUES["2u"])),
    "near-perfect-co-active": ([[1 + 1e-9, 1e-9], [-1e-9, 1 - 1e-9]], [1e-10, -1e-10], [0.5, 0.5],
                               CoActive()),
}  # fmt: skip


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_awkward_points(name: str, exact_losses: Losses) -> None:
    W, b, density, features = ADVERSARIAL[name]
    assert_relative(W, b, density, features, exact_losses)


@pytest.mark.parametrize("n", range(1, 7))
def test_exactly_one_of_any_number(n: int, exact_losses: Losses) -> None:
    rng = np.random.default_rng(n)
    for values in (UNIFORM, VALUES["6u(1-u)"], VALUES["symmetric"]):
        assert_relative(*model(n, 2, rng), [1 / n] * n, OneHot(values), exact_losses)


@pytest.mark.parametrize("k", range(2, 12))
def test_at_most_one_at_the_highest_density_is_exactly_one(k: int) -> None:
    """The empty input has probability 0, which 1 − Σ 1/k misses: for k = 9 and 11 from below."""
    features = Anticorrelated([range(k)])
    probability = set_probabilities(features, np.full((1, k), 1 / k))
    assert (probability >= 0).all()
    assert probability[0, 0] <= k * np.finfo(float).eps
    W, b = model(k, 2, np.random.default_rng(k))
    np.testing.assert_allclose(
        losses_per_output(W, b, [1 / k] * k, features),
        losses_per_output(W, b, [1 / k] * k, OneHot()),
        rtol=1e-14,
    )


def one_hot_potential(W: Floats, b: Floats) -> float:
    """H of Chen et al. 2023 (arXiv 2310.06301): the loss is H/(3n)."""
    a = W.T @ W
    total = 0.0
    for i in range(len(b)):
        own, c = a[i, i], b[i]
        others = np.delete(a[i], i)
        never_cut = (1 - own) ** 2 - 3 * (1 - own) * c + 3 * c**2
        if c <= 0:
            reached = others[others > -c]
            total += ((reached + c) ** 3 / reached).sum()
            total += c**3 / own**2 + c**3 / own + never_cut if own >= -c else 1
        else:
            cut = others < -c
            total += never_cut + (-(c**3) / others[cut]).sum()
            total += (others[~cut] ** 2 + 3 * others[~cut] * c + 3 * c**2).sum()
    return total


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_one_hot_loss_is_that_of_the_closed_form(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(5):
        W, b = rng.standard_normal((3, n)) / 2, rng.normal(scale=0.3, size=n)
        loss = population_loss(W, b, density=1 / n, importance=np.ones(n), features=OneHot())
        np.testing.assert_allclose(loss, one_hot_potential(W, b) / (3 * n), rtol=1e-13)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_general_recurrence_agrees_with_the_special_routes(n: int) -> None:
    rng = np.random.default_rng(n)
    states = joint_states(Independent(), n)
    records, moments = general_recurrence.workspace(states), recurrence.workspace(n)
    one, other = np.empty(n), np.empty(n)
    for _ in range(50):
        W, b = model(n, 2, rng)
        G, density = W.T @ W, rng.choice([0.0, 1.0, 0.3, 1e-6], n)
        probability = set_probabilities(Independent(), density[None])[0]
        for i in range(n):
            value, slope = general_recurrence.loss_of_output(
                i, G[i], 1 - G[i, i], b[i], states, probability, one, records
            )
            special: Any = quadrature if n <= 3 else recurrence
            scratch = () if n <= 3 else (moments,)
            check, check_slope = special.loss_of_output(
                i, G[i], 1 - G[i, i], b[i], density, other, *scratch
            )
            size = 1 + abs(b[i]) + abs(G[i]).sum()
            assert abs(value - check) <= 5e-15 * size**2
            assert abs(slope - check_slope) <= 5e-15 * size
            assert abs(one - other).max() <= 5e-15 * size


def test_a_shared_gate_makes_the_loss_linear_in_the_density() -> None:
    W, b = model(4, 2, np.random.default_rng(0))
    never, sometimes, always = (
        losses_per_output(W, b, [s] * 4, CoActive()) for s in (0.0, 0.3, 1.0)
    )
    np.testing.assert_allclose(sometimes, 0.7 * never + 0.3 * always, rtol=1e-14)
    np.testing.assert_allclose(always, losses_per_output(W, b, [1.0] * 4, Independent()), 1e-13)


@pytest.mark.parametrize("values", [UNIFORM, VALUES["2u"], VALUES["symmetric"]], ids=repr)
def test_sets_of_one_feature_are_independent_features(values: ValueDistribution) -> None:
    W, b = model(3, 2, np.random.default_rng(1))
    alone = losses_per_output(W, b, [0.2, 0.5, 0.9], Independent(values))
    for features in (Correlated([(1,), (0,)], values), Anticorrelated([(2,)], values)):
        np.testing.assert_allclose(
            losses_per_output(W, b, [0.2, 0.5, 0.9], features), alone, rtol=1e-13
        )


def test_flipping_a_column_does_nothing_to_symmetric_values() -> None:
    W, b = model(4, 2, np.random.default_rng(3))
    for features in (Independent(VALUES["symmetric"]), CoActive(VALUES["symmetric"])):
        before = losses_per_output(W, b, [0.3] * 4, features)
        flipped = losses_per_output(W * [1, -1, -1, 1], b, [0.3] * 4, features)
        np.testing.assert_allclose(flipped, before, rtol=1e-13)


# --- gradients ---------------------------------------------------------------------------------


def exact_gradient(
    W: Any, b: Any, importance: Sequence[float], loss_of: Callable[..., list[Fraction]]
) -> tuple[Floats, Floats]:
    """Central difference of the rational loss: with this step its error is below 1e-40."""
    h = Fraction(1, 2**80)
    rows = [[Fraction(w) for w in row] for row in np.asarray(W, dtype=float).tolist()]
    offsets = [Fraction(value) for value in np.asarray(b, dtype=float).tolist()]

    def slope(row: list[Fraction], place: int) -> float:
        at, ends = row[place], []
        for step in (h, -h):
            row[place] = at + step
            outputs = loss_of(rows, offsets)
            ends.append(
                sum((Fraction(i) * x for i, x in zip(importance, outputs, strict=True)), Fraction())
            )
        row[place] = at
        return float((ends[0] - ends[1]) / (2 * h))

    n = len(offsets)
    dW = [[slope(row, j) for j in range(n)] for row in rows]
    return np.array(dW), np.array([slope(offsets, j) for j in range(n)])


def assert_gradient(
    W: Any, b: Any, density: Any, features: FeatureDistribution, oracle: Losses, activation: str
) -> None:
    importance = [1.0, 0.3, 2.0, 0.7][: len(b)]
    at = population_loss_and_grad(
        W, b, density=density, importance=importance, features=features, activation=activation
    )
    dW, db = exact_gradient(
        W, b, importance, lambda W, b: oracle(W, b, density, activation, features)
    )
    W = np.asarray(W, dtype=float)
    size = (1 + np.abs(b).max() + abs(W.T @ W).max()) * (1 + abs(W).max())
    np.testing.assert_allclose(at.dW, dW, rtol=0, atol=1e-14 * size)
    np.testing.assert_allclose(at.db, db, rtol=0, atol=1e-14 * size)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(
    ("features", "density"),
    [case for case in EVERY_CASE if str(case.id).endswith(("-2", "-uniform-3", "-symmetric-3"))],
)
def test_gradient_at_random_points(
    features: FeatureDistribution, density: list[float], activation: str, exact_losses: Losses
) -> None:
    n = len(density)
    rng = np.random.default_rng(n)
    W, b = rng.standard_normal((2 if n == 2 else 1, n)), rng.normal(scale=0.5, size=n)
    assert_gradient(W, b, density, features, exact_losses, activation)


@pytest.mark.parametrize(
    "name",
    ["coupling-1e-9", "no-coupling", "kink-at-a-vertex", "kink-along-an-edge", "all-in-one-set",
     "density-1", "density-0-and-1-exclusive", "near-perfect", "near-perfect-co-active"],
)  # fmt: skip
def test_gradient_at_awkward_points(name: str, exact_losses: Losses) -> None:
    assert_gradient(*ADVERSARIAL[name], exact_losses, "relu")


@pytest.mark.parametrize("features", [CoActive(), OneHot(), Independent(VALUES["2u"])], ids=repr)
def test_gradient_at_a_kink_is_that_of_the_active_side(features: FeatureDistribution) -> None:
    """Where z = 0 for all inputs, dL/db_i from above is −2 E x_i; from below it is 0."""
    mean = 2 / 3 if not features.values.is_uniform else 1 / 2
    at = population_loss_and_grad(
        [[0, 1]], [0, 0], density=0.5, importance=[1, 1], features=features
    )
    np.testing.assert_allclose(at.db[0], -2 * 0.5 * mean, rtol=1e-15)


# --- sampling, and the linear activation -------------------------------------------------------


def draw(
    features: FeatureDistribution, density: Floats, count: int, rng: np.random.Generator
) -> Floats:
    """Sample the laws in the words of the literature, one kind of distribution at a time."""
    n = len(density)
    on = rng.random((count, n)) < density
    match features:
        case CoActive():
            on = np.repeat(rng.random((count, 1)) < density[0], n, axis=1)
        case OneHot():
            on = np.eye(n, dtype=bool)[rng.choice(n, size=count, p=density)]
        case Correlated(sets=sets):
            for members in sets:
                on[:, members] = rng.random((count, 1)) < density[members[0]]
        case Anticorrelated(sets=sets):
            for members in sets:
                choice = [*density[list(members)], 1 - density[list(members)].sum()]
                member = rng.choice(len(choice), size=count, p=choice)
                on[:, members] = np.eye(len(choice), dtype=bool)[member, :-1]
    if features.values.coefficients == UNIFORM.coefficients:
        x = rng.random((count, n))
    else:
        # The larger of two uniform numbers.
        assert features.values.coefficients == VALUES["2u"].coefficients
        x = rng.random((2, count, n)).max(axis=0)
    if features.values.symmetric:
        x *= rng.choice([-1, 1], size=(count, n))
    return np.asarray(on * x)


SAMPLED: list[Case] = [
    (CoActive(), [0.4] * 6),
    (OneHot(), [0.1, 0.2, 0.3, 0.05, 0.15, 0.2]),
    (Correlated([(0, 3), (1, 2)]), [0.4, 0.3, 0.3, 0.4, 0.9, 0.1]),
    (Anticorrelated([(0, 3, 5), (1, 2)]), [0.4, 0.3, 0.7, 0.2, 0.9, 0.1]),
    (Independent(ValueDistribution([1], symmetric=True)), [0.4, 0.3, 0.7, 0.2, 0.9]),
    (Correlated([(0, 1)], VALUES["2u"]), [0.4, 0.4, 0.7, 0.2, 0.9, 0.1]),
    (Anticorrelated([(0, 1, 2)], VALUES["symmetric-2u"]), [0.4, 0.3, 0.2, 0.2]),
]


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("features", "density"), SAMPLED, ids=repr)
def test_loss_and_gradient_within_the_error_bars_of_sampling(
    features: FeatureDistribution, density: list[float], activation: str
) -> None:
    n, count = len(density), 100_000
    rng = np.random.default_rng(n)
    W, b = rng.standard_normal((2, n)) / np.sqrt(2), rng.normal(scale=0.2, size=n)
    importance = rng.uniform(0.5, 2, n)
    x = draw(features, np.array(density), count, rng)
    z = x @ W.T @ W + b
    output, slope = (np.maximum(z, 0), z > 0) if activation == "relu" else (z, np.ones_like(z))
    delta = 2 * importance * (output - x) * slope
    hidden, back = x @ W.T, delta @ W.T
    samples = [
        ((x - output) ** 2) @ importance,
        delta,
        hidden[:, :, None] * delta[:, None, :] + back[:, :, None] * x[:, None, :],
    ]
    at = population_loss_and_grad(
        W, b, density=density, importance=importance, features=features, activation=activation
    )
    for exact, sample in zip((at.loss, at.db, at.dW), samples, strict=True):
        error = sample.std(axis=0) / np.sqrt(count)
        assert (abs(sample.mean(axis=0) - exact) <= SIGMAS * error).all()


@pytest.mark.parametrize(("features", "density"), EVERY_CASE)
def test_linear_loss_is_that_of_the_moments(
    features: FeatureDistribution, density: list[float], exact_losses: Losses
) -> None:
    W, b = model(len(density), 2, np.random.default_rng(len(density)))
    computed = losses_per_output(W, b, density, features, "linear")
    for value, truth in zip(computed, exact_losses(W, b, density, "linear", features), strict=True):
        assert float(abs(Fraction(float(value)) - truth)) <= 1e-13 * (1 + float(truth))


def test_linear_loss_for_fifty_features() -> None:
    """All on together: given the gate, features are independent with density 1."""
    rng = np.random.default_rng(0)
    W, b, importance = rng.normal(size=(7, 50)) / 7, rng.normal(size=50), rng.random(50)
    arguments: dict[str, Any] = {"importance": importance, "activation": "linear"}
    loss = population_loss(W, b, density=0.3, features=CoActive(), **arguments)
    parts = [population_loss(W, b, density=s, **arguments) for s in (0.0, 1.0)]
    np.testing.assert_allclose(loss, 0.7 * parts[0] + 0.3 * parts[1], rtol=1e-13)


# --- batches, tensors, limits ------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_batch_is_bitwise_a_loop(activation: str) -> None:
    rng = np.random.default_rng(0)
    W, b = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 3))
    features = Anticorrelated([(0, 2)], VALUES["2u"])
    density = rng.random((4, 1, 3)) / 2
    arguments: dict[str, Any] = {"importance": np.ones(3), "features": features}
    arguments["activation"] = activation
    batch = population_loss_and_grad(W, b, density=density, **arguments)
    for d, k in np.ndindex(4, 5):
        one = population_loss_and_grad(W[k], b[k], density=density[d, 0], **arguments)
        assert batch.loss[d, k] == one.loss
        np.testing.assert_array_equal(batch.dW[d, k], one.dW)
        np.testing.assert_array_equal(batch.db[d, k], one.db)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_autograd_passes_gradcheck(activation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, generator=generator, requires_grad=True)

    def loss(W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return population_loss(
            W, b, density=0.3, importance=[1.0] * 3, features=CoActive(), activation=activation
        )

    assert torch.autograd.gradcheck(loss, (W, b))


@pytest.mark.parametrize(
    ("features", "n", "count"),
    [(OneHot(), 30, 61), (CoActive(), 10, 3**10), (Anticorrelated([range(5), range(5, 10)]), 10, 121),
     (Independent(VALUES["2u"]), 7, 4**7), (Independent(VALUES["symmetric"]), 6, 5**6),
     (Correlated([(0, 1)], VALUES["6u(1-u)"]), 3, 6**3)],
    ids=repr,
)  # fmt: skip
def test_number_of_joint_states(features: FeatureDistribution, n: int, count: int) -> None:
    assert state_count(features, n) == count


@pytest.mark.parametrize(("features", "density"), EVERY_CASE)
def test_joint_states_make_up_the_law(features: FeatureDistribution, density: list[float]) -> None:
    n = len(density)
    states = joint_states(features, n)
    visited = np.arange(len(states.code))[:, None]
    varies = states.values.strength[states.code] > 0
    for step, to in ((states.up, states.values.up), (states.down, states.values.down)):
        assert (step[varies] < np.broadcast_to(visited, step.shape)[varies]).all()
        for j in range(n):
            np.testing.assert_array_equal(states.code[step[:, j], j], to[states.code[:, j]])
            others = np.arange(n) != j
            np.testing.assert_array_equal(
                states.code[step[:, j]][:, others], states.code[:, others]
            )
    probability = set_probabilities(features, np.array([density]))[0]
    ends = states.active_set >= 0
    share = np.bincount(states.active_set[ends], states.weight[ends], len(probability))
    np.testing.assert_allclose(share, 1, rtol=1e-14)
    assert probability.sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_beta_mixture_is_the_density(values: ValueDistribution) -> None:
    u = np.linspace(0, 1, 11)
    mixture = beta_mixture(values.coefficients)
    total = sum(float(w) * stats.beta.pdf(u, *pair) for pair, w in mixture.items())
    density = np.polynomial.polynomial.polyval(u, [float(c) for c in values.coefficients])
    np.testing.assert_allclose(total, density, atol=1e-13)
    assert sum(mixture.values()) == 1


@pytest.mark.parametrize(
    ("features", "density", "message"),
    [
        (CoActive(), [0.1, 0.2], "on together, so their densities must be equal"),
        (Correlated([(0, 1)]), [0.1, 0.2], "on together, so their densities must be equal"),
        (Anticorrelated([(0, 1)]), 0.6, "must sum to at most 1"),
        (OneHot(), 0.4, "must sum to 1"),
        (Correlated([(0, 2)]), 0.4, r"sets may name the features 0, …, 1, got 2"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_densities_that_do_not_belong(
    features: FeatureDistribution, density: Any, message: str, activation: str
) -> None:
    with pytest.raises(ValueError, match=message):
        population_loss(
            [[1, -1]], [0, 0], density=density, importance=[1, 1], features=features,
            activation=activation,
        )  # fmt: skip


def test_densities_are_checked_for_every_model_of_a_batch() -> None:
    with pytest.raises(ValueError, match=r"sum to at most 1, got \[0.6, 0.6\]"):
        population_loss(
            np.ones((2, 1, 2)), np.zeros((2, 2)), density=[0.5, 0.6], importance=[1, 1],
            features=Anticorrelated([(0, 1)]),
        )  # fmt: skip
