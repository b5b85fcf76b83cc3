"""Training of models other than the tied one. Oracles: the definition as a naive loop, autograd,
torch.optim on the same batches, and for x̂ = WᵀW x + b the engine of the standard model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from superposition import Independent, ValueDistribution
from superposition.architecture import ABSOLUTE_VALUE, RELU_HIDDEN, Architecture
from superposition.model import Activation
from superposition.numerics import Normal, Plateau, Protocol, TrainingResult, train, training_batch
from superposition.numerics.training.packed_models import PackedModels
from superposition.numerics.training.sampled_gradient import MatrixGradient, make_gradient
from superposition.numerics.training.two_layer_gradient import TwoLayerGradient

Floats = NDArray[np.float64]

UNTIED = Architecture("untied", tied=False)
TIED_ABSOLUTE = Architecture("tied-absolute", target="absolute")
ALL = [RELU_HIDDEN, ABSOLUTE_VALUE, UNTIED, TIED_ABSOLUTE]
all_architectures = pytest.mark.parametrize("architecture", ALL, ids=lambda one: one.name)
SIGNED = Independent(ValueDistribution([1], symmetric=True))
SIZES = [(1, 1), (1, 2), (2, 1), (2, 5), (3, 2), (5, 2), (7, 3), (10, 5), (33, 5)]

BRIEF = Protocol(
    name="brief",
    optimizer="adam",
    learning_rate=0.02,
    steps=12,
    batch_size=10,
    schedule="cosine",
    bias_init=Normal(0.3),
)


# ------------------------------------------------------------------------------------------------
# The gradient
# ------------------------------------------------------------------------------------------------


def naive_loss(
    W: Floats,
    V: Floats,
    b: Floats,
    x: Floats,
    importance: Floats,
    architecture: Architecture,
    activation: str,
) -> float:
    """The definition, one number at a time; x has shape (batch, n)."""
    m, n = W.shape
    total = 0.0
    for example in x:
        hidden = [sum(W[a, j] * example[j] for j in range(n)) for a in range(m)]
        if architecture.hidden == "relu":
            hidden = [max(h, 0.0) for h in hidden]
        for i in range(n):
            output = b[i] + sum(V[i, a] * hidden[a] for a in range(m))
            if activation == "relu":
                output = max(output, 0.0)
            target = abs(example[i]) if architecture.target == "absolute" else example[i]
            total += importance[i] * (target - output) ** 2 / len(x)
    return total


def autograd_loss(
    W: torch.Tensor,
    V: torch.Tensor,
    b: torch.Tensor,
    x: torch.Tensor,
    importance: torch.Tensor,
    architecture: Architecture,
    activation: str,
) -> torch.Tensor:
    """The same, such that torch can differentiate it."""
    hidden = x @ W.T
    if architecture.hidden == "relu":
        hidden = torch.relu(hidden)
    outputs = hidden @ V.T + b
    if activation == "relu":
        outputs = torch.relu(outputs)
    target = x.abs() if architecture.target == "absolute" else x
    return (importance * (target - outputs) ** 2).sum(dim=1).mean()


def random_problem(
    n: int, m: int, architecture: Architecture, batch_size: int
) -> tuple[PackedModels, torch.Tensor]:
    rng = np.random.default_rng([n, m])

    def tensor(values: Floats) -> torch.Tensor:
        return torch.from_numpy(values)

    x = rng.uniform(-1, 1, size=(3, n, batch_size)) * (rng.random((3, n, batch_size)) < 0.6)
    packed = PackedModels(
        W=tensor(rng.normal(size=(3, m, n))),
        b=tensor(rng.normal(size=(3, n))),
        importance=tensor(rng.random((3, n)) * 2),
        penalty=None,
        activation="relu",
        batch_size=batch_size,
        scale=0.7,
        V=None if architecture.tied else tensor(rng.normal(size=(3, n, m))),
        architecture=architecture,
    )
    return packed, tensor(x)


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(("n", "m"), SIZES)
@all_architectures
def test_loss_and_gradient_are_those_of_the_definition(
    architecture: Architecture, n: int, m: int, activation: Activation
) -> None:
    batch_size = 6
    packed, x = random_problem(n, m, architecture, batch_size)
    packed = replace(packed, activation=activation)
    gradient = make_gradient(packed)
    assert isinstance(gradient, TwoLayerGradient)
    negated = torch.full((3, n, gradient.multiple), -0.5, dtype=torch.float64)
    negated[..., :batch_size] = -x  # behind that, what must not matter
    gradient.evaluate(negated)
    slopes = gradient.flattened(gradient.gradients)
    losses = gradient.last_loss()
    for k in range(3):
        leaves = [packed.W[k].clone().requires_grad_(), packed.b[k].clone().requires_grad_()]
        if packed.V is not None:
            leaves.insert(1, packed.V[k].clone().requires_grad_())
        W, b = leaves[0], leaves[-1]
        V = W.T if architecture.tied else leaves[1]
        loss = autograd_loss(W, V, b, x[k].T, packed.importance[k], architecture, activation)
        wanted = torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, leaves)])
        torch.testing.assert_close(slopes[k], packed.scale * wanted, rtol=1e-12, atol=1e-12)
        naive = naive_loss(
            W.detach().numpy(),
            V.detach().numpy(),
            b.detach().numpy(),
            x[k].T.numpy(),
            packed.importance[k].numpy(),
            architecture,
            activation,
        )
        assert float(losses[k]) == pytest.approx(naive, rel=1e-12)


def test_the_standard_architecture_is_a_case_of_the_general_one() -> None:
    # Two hand-written gradients of x̂ = ReLU(WᵀW x + b) with nothing in common but their interface.
    standard = Architecture("standard")
    packed, x = random_problem(7, 3, standard, 16)
    general, special = TwoLayerGradient(packed), MatrixGradient(packed)
    for gradient in (general, special):
        gradient.evaluate(-x)
    for mine, other in zip(general.gradients, special.gradients, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(general.last_loss(), special.last_loss(), rtol=1e-13, atol=0)


@all_architectures
def test_rows_of_parameters_come_back(architecture: Architecture) -> None:
    packed, _ = random_problem(5, 2, architecture, 4)
    gradient = TwoLayerGradient(packed)
    rows = gradient.flattened(gradient.parameters)
    assert torch.equal(rows[:, :10], packed.W.flatten(1))
    assert torch.equal(rows[:, -5:], packed.b)
    if packed.V is not None:
        assert torch.equal(rows[:, 10:20], packed.V.flatten(1))
    other = TwoLayerGradient(packed)
    for parameter in other.parameters:
        parameter.zero_()
    other.assign(other.parameters, rows)
    for mine, its in zip(gradient.parameters, other.parameters, strict=True):
        assert torch.equal(mine, its)


# ------------------------------------------------------------------------------------------------
# Training
# ------------------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, tuple[dict[str, Any], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": ({"momentum": 0.8}, torch.optim.SGD),
    # An eps that keeps Adam from magnifying the rounding of gradients that are nearly 0.
    "adam": ({"betas": (0.5, 0.9), "eps": 1e-3}, torch.optim.Adam),
    "adamw": ({"weight_decay": 0.1, "eps": 1e-3}, torch.optim.AdamW),
}


def plain_training(
    architecture: Architecture,
    protocol: Protocol,
    kind: Callable[..., torch.optim.Optimizer],
    options: dict[str, Any],
    start: list[Floats],
    importance: Floats,
    activation: str,
    batches: list[Floats],
) -> tuple[list[Floats], list[float]]:
    """One model with autograd and torch.optim; `start` is W, V unless tied, and b."""
    leaves = [torch.from_numpy(values.copy()).requires_grad_() for values in start]
    optimizer = kind(leaves, lr=protocol.learning_rate, **options)
    losses = []
    for step, x in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = protocol.learning_rate_at(step)
        W, b = leaves[0], leaves[-1]
        V = W.T if architecture.tied else leaves[1]
        weights = torch.from_numpy(importance)
        loss = autograd_loss(W, V, b, torch.from_numpy(x), weights, architecture, activation)
        losses.append(float(loss.detach()))
        scaled = loss / len(importance) if protocol.reduction == "mean" else loss
        for leaf, slope in zip(leaves, torch.autograd.grad(scaled, leaves), strict=True):
            leaf.grad = slope
        optimizer.step()
    return [leaf.detach().numpy() for leaf in leaves], losses


@pytest.mark.parametrize("engine", ["fused", "torch"])
@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize(
    ("n", "m", "case"), [(1, 2, "adam"), (2, 1, "adam"), (4, 3, "adamw"), (9, 4, "sgd")]
)
@all_architectures
def test_training_is_the_plain_loop_on_the_same_data(
    architecture: Architecture, n: int, m: int, case: Any, activation: str, engine: str
) -> None:
    options, kind = OPTIMIZERS[case]
    protocol = replace(BRIEF, optimizer=case, steps=40, batch_size=150, reduction="mean", **options)
    # At the first density most blocks of examples lack features, and some have none.
    density = np.stack([np.full(n, 0.005), np.linspace(0.3, 1, n)])
    importance = np.linspace(2, 0.5, n)
    result = train(
        n,
        m,
        density=density,
        importance=importance,
        architecture=architecture,
        activation=activation,
        features=SIGNED,
        protocol=protocol,
        replicas=2,
        seed=11,
        model_index=[4, 9],
        dtype=torch.float64,
        record_every=1,
        record_weights=[0, 40],
        engine=engine,
    )
    for place in np.ndindex(2, 2):
        start = [result.W_history[place][0], result.b_history[place][0]]
        end = [result.W[place], result.b[place]]
        if not architecture.tied:
            start.insert(1, result.V_history[place][0])
            end.insert(1, result.V[place])
        batches = [
            training_batch(
                density[place[0]],
                protocol.batch_size,
                features=SIGNED,
                seed=11,
                model_index=(4, 9)[place[0]],
                replica=place[1],
                step=step,
            )
            for step in range(protocol.steps)
        ]
        wanted, losses = plain_training(
            architecture, protocol, kind, options, start, importance, activation, batches
        )
        for mine, its in zip(end, wanted, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(result.loss_history[place], losses, rtol=1e-9)


def assert_same(first: TrainingResult, second: TrainingResult, where: Any = ...) -> None:
    """Equal to the last bit; `where` picks models of `second`."""
    for name in ("W", "V", "b", "loss_history", "stopped_at", "W_history", "V_history"):
        mine, its = getattr(first, name), getattr(second, name)[where]
        np.testing.assert_array_equal(mine, its, err_msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("batch_size", [1, 7, 100])
@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 1), (3, 2), (10, 5), (33, 5)])
@pytest.mark.parametrize("architecture", [RELU_HIDDEN, ABSOLUTE_VALUE], ids=lambda one: one.name)
@pytest.mark.parametrize("engine", ["fused", "torch"])
def test_packing_changes_no_bit(
    architecture: Architecture, n: int, m: int, batch_size: int, dtype: torch.dtype, engine: str
) -> None:
    importance = np.ones((1, 3, n))
    importance[0, :, -1] = 0.3, 1, 4
    grid: dict[str, Any] = {"density": np.array([[0.1], [0.9]]), "importance": importance}
    common: dict[str, Any] = {
        "architecture": architecture,
        "features": SIGNED,
        "protocol": replace(BRIEF, batch_size=batch_size, steps=3),
        "seed": 5,
        "dtype": dtype,
        "record_every": 2,
        "engine": engine,
    }
    whole = train(n, m, **grid, replicas=7, chunk_size=42, workers=1, **common)
    assert whole.W.shape == (2, 3, 7, m, n)
    assert whole.V.shape == (2, 3, 7, n, m)
    for chunk_size in (1, 5, 17):
        assert_same(train(n, m, **grid, replicas=7, chunk_size=chunk_size, **common), whole)
    fewer = train(n, m, **grid, replicas=3, **common)
    assert_same(fewer, whole, np.s_[:, :, :3])
    column = {"density": [[0.1], [0.9]], "importance": importance[0, 1], "model_index": [1, 4]}
    assert_same(train(n, m, **column, replicas=7, **common), whole, np.s_[:, 1])


GOOD: dict[str, Any] = {
    "density": [[0.2], [0.7]],
    "importance": [1, 1, 1],
    "features": SIGNED,
    "architecture": ABSOLUTE_VALUE,
    "protocol": BRIEF,
    "replicas": 3,
}


def test_decoders_of_tied_models_are_their_encoders() -> None:
    for architecture in ("tied", RELU_HIDDEN):
        changes = {"architecture": architecture, "engine": "torch"}
        result = train(3, 2, **{**GOOD, **changes}, record_weights=5)
        np.testing.assert_array_equal(result.V, result.W.swapaxes(-1, -2))
        np.testing.assert_array_equal(result.V_history, result.W_history.swapaxes(-1, -2))


def test_encoders_and_decoders_start_apart_and_from_one_law() -> None:
    # Five standard errors of a standard deviation, std/√(2N), and of a correlation, 1/√N.
    protocol = replace(BRIEF, steps=1)
    common = {**GOOD, "protocol": protocol, "density": 0.5, "replicas": 4000}
    start = train(3, 2, **common, record_weights=[0])
    W, V = start.W_history[:, 0], start.V_history[:, 0]
    std = protocol.weight_init.standard_deviation(3, 2)
    for values in (W, V):
        assert abs(values.std() - std) < 5 * std / np.sqrt(2 * values.size)
    for other in (V.reshape(-1), V.swapaxes(1, 2).reshape(-1)):
        assert abs(np.corrcoef(W.reshape(-1), other)[0, 1]) < 5 / np.sqrt(W.size)
    # The encoder and the biases start where those of the tied model do.
    same = {**common, "architecture": "tied", "engine": "torch"}
    tied = train(3, 2, **same, record_weights=[0])
    np.testing.assert_array_equal(tied.W_history, start.W_history)
    np.testing.assert_array_equal(tied.b_history, start.b_history)


def test_start_from_given_weights() -> None:
    W, V, b = np.array([[1.0], [-1.0]]), np.array([[1.0, 1.0]]), np.array([0.0])
    result = train(
        1, 2, **{**GOOD, "importance": [1]}, initial=(W, V, b), record_weights=[0], record_every=1
    )
    # |x| = ReLU(x) + ReLU(−x): without loss, so that nothing moves.
    assert (result.loss_history == 0).all()
    for values, wanted in ((result.W, W), (result.V, V), (result.b, b), (result.V_history, V)):
        np.testing.assert_array_equal(values, np.broadcast_to(wanted, values.shape))


def test_shorter_training_is_recorded_on_the_way() -> None:
    constant = replace(BRIEF, schedule="constant")
    result = train(3, 2, **{**GOOD, "protocol": constant}, record_weights=[0, 7, 12])
    shorter = train(3, 2, **{**GOOD, "protocol": replace(constant, steps=7)})
    for history, end, short in (
        (result.W_history, result.W, shorter.W),
        (result.V_history, result.V, shorter.V),
        (result.b_history[..., None], result.b[..., None], shorter.b[..., None]),
    ):
        np.testing.assert_array_equal(history[..., 1, :, :], short)
        np.testing.assert_array_equal(history[..., 2, :, :], end)


def test_checkpoints_and_plateaus(tmp_path: Path) -> None:
    # 700 updates are more than one stretch, between which everything is put down and taken up.
    plateau = Plateau(window=50, patience=2, improvement=0.1)
    long = {**GOOD, "protocol": replace(BRIEF, steps=700, plateau=plateau)}
    kept = train(3, 2, **long, checkpoint=tmp_path / "kept.npz", chunk_size=2)
    assert len(np.unique(kept.stopped_at)) > 1
    assert_same(kept, train(3, 2, **long))
    assert_same(kept, train(3, 2, **long, checkpoint=tmp_path / "kept.npz"))
    for other in ("tied", UNTIED, replace(ABSOLUTE_VALUE, hidden="linear")):
        with pytest.raises(ValueError, match="belongs to another configuration: architecture is"):
            train(3, 2, **{**long, "architecture": other}, checkpoint=tmp_path / "kept.npz")


def test_one_feature_s_absolute_value_is_learned() -> None:
    # Two hidden dimensions of opposite signs have no loss; one alone leaves half of E x² or more.
    protocol = Protocol(name="own", optimizer="adam", learning_rate=0.02, steps=600, batch_size=64)
    result = train(
        1, 2, density=1, importance=[1], features=SIGNED, architecture="absolute-value",
        protocol=protocol, replicas=20, seed=3,
    )  # fmt: skip
    final = result.loss_history[:, -1]
    learned = result.W[:, 0, 0] * result.W[:, 1, 0] < 0
    assert learned.any()
    assert not learned.all()
    assert final[learned].min() < 1e-6
    assert final[~learned].min() > 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "autoencoder"}, "architecture must be an Architecture or one of tied"),
        ({"penalty": 0.1}, "penalty is of the architecture 'tied' only and must be 0 for 'absol"),
        (
            {"initial": (np.ones((2, 3)), np.zeros(3))},
            r"initial must be a triple of arrays, W .* \(2, 3, 2, 3\), V .* and b .* \(2, 3, 3\)",
        ),
        (
            {"initial": (np.ones((2, 3)), np.full((3, 2), np.inf), np.zeros(3))},
            "initial V must be finite",
        ),
        (
            {"initial": (np.ones((2, 3)), np.ones((2, 3)), np.zeros(3))},
            r"initial V must broadcast to shape \(2, 3, 3, 2\), got shape \(2, 3\)",
        ),
        ({"record_weights": 1, "replicas": 10**9}, "take .* GB, more than the .* GB of this"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(3, 2, **{**GOOD, **changes})
