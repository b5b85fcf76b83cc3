from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from superposition.numerics.training.named_protocols import PROTOCOLS, resolve_protocol
from superposition.numerics.training.protocols import Normal, Plateau, Protocol, XavierNormal, Zero


def test_names_are_keys() -> None:
    assert set(PROTOCOLS) == {
        "annealed", "elhage2022", "roe2023", "roe2023-code", "roe2023-linear",
        "roe2023-linear-code", "ymgw55", "zfurman56",
    }  # fmt: skip
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert resolve_protocol(name) is protocol
        assert protocol.source


def test_elhage2022_is_as_stated() -> None:
    protocol = PROTOCOLS["elhage2022"]
    assert (protocol.optimizer, protocol.learning_rate) == ("adamw", 1e-3)
    assert (protocol.steps, protocol.batch_size) == (10_000, 1024)
    assert (protocol.weight_decay, protocol.reduction) == (0.01, "mean")
    assert (protocol.weight_init, protocol.bias_init) == (XavierNormal(), Zero())
    assert (protocol.schedule, protocol.betas, protocol.eps) == ("constant", (0.9, 0.999), 1e-8)


def test_roe2023_is_as_stated() -> None:
    protocol = PROTOCOLS["roe2023"]
    assert (protocol.optimizer, protocol.learning_rate) == ("adam", 1e-2)
    assert (protocol.steps, protocol.batch_size) == (6000, 64)
    assert (protocol.weight_init, protocol.bias_init) == (Normal(1.5), Normal(0.5))
    assert (protocol.schedule, protocol.weight_decay) == ("constant", 0)


def test_the_replication_is_as_stated() -> None:
    """Linear models: 6000 × 128 from N(0, 1); its code draws one mask for a whole batch."""
    for name in ("roe2023", "roe2023-linear"):
        code = PROTOCOLS[f"{name}-code"]
        assert (PROTOCOLS[name].mask, code.mask) == ("example", "batch")
        same = replace(code, name=name, mask="example", source=PROTOCOLS[name].source)
        assert same == PROTOCOLS[name]
    linear = PROTOCOLS["roe2023-linear"]
    assert (linear.optimizer, linear.learning_rate) == ("adam", 1e-2)
    assert (linear.steps, linear.batch_size) == (6000, 128)
    assert (linear.weight_init, linear.bias_init) == (Normal(1.0), Normal(1.0))


def test_recipes_of_repositories_are_as_stated() -> None:
    for name, steps, schedule in (("ymgw55", 10_000, "cosine"), ("zfurman56", 5000, "constant")):
        protocol = PROTOCOLS[name]
        assert (protocol.optimizer, protocol.learning_rate) == ("adamw", 1e-3)
        assert (protocol.steps, protocol.batch_size) == (steps, 1024)
        assert (protocol.schedule, protocol.final_rate) == (schedule, 0)
        assert (protocol.weight_init, protocol.bias_init) == (XavierNormal(), Zero())


def test_no_weight_decay_unless_stated() -> None:
    decays = {name for name, protocol in PROTOCOLS.items() if protocol.weight_decay}
    assert decays == {"elhage2022", "ymgw55", "zfurman56"}
    adamw = Protocol(name="x", optimizer="adamw", learning_rate=1e-3, steps=1, batch_size=1)
    assert adamw.weight_decay == 0


def test_xavier_fans_are_those_of_one_model() -> None:
    assert XavierNormal().standard_deviation(n_features=2, n_hidden=1) == math.sqrt(2 / 3)
    assert XavierNormal().standard_deviation(n_features=20, n_hidden=5) == math.sqrt(2 / 25)


def test_schedules() -> None:
    constant = PROTOCOLS["roe2023"]
    assert {constant.learning_rate_at(step) for step in (0, 17, 5999)} == {1e-2}
    cosine = replace(constant, schedule="cosine")
    rates = [cosine.learning_rate_at(step) for step in (0, 3000, 6000)]
    assert rates == pytest.approx([1e-2, 5e-3, 0], abs=1e-18)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "exponential", "step"])
def test_schedules_fall_from_the_rate_to_its_final_fraction(schedule: Any) -> None:
    protocol = replace(
        PROTOCOLS["roe2023"], schedule=schedule, final_rate=0.01, warmup=10, steps=1010, drops=2
    )
    rates = [protocol.learning_rate_at(step) for step in range(1011)]
    assert rates[:10] == pytest.approx([1e-2 * (k + 1) / 11 for k in range(10)])
    assert rates[10] == 1e-2
    assert rates[1010] == pytest.approx(1e-4)
    assert sorted(rates[10:], reverse=True) == rates[10:]
    # Half of the way: the mean for those that are symmetric about it, the geometric mean else.
    halfway = {"cosine": 0.00505, "linear": 0.00505, "exponential": 1e-3, "step": 1e-3}
    assert rates[510] == pytest.approx(halfway[schedule])


def test_steps_of_the_staircase() -> None:
    protocol = replace(
        PROTOCOLS["roe2023"], schedule="step", final_rate=0.001, drops=3, steps=400, learning_rate=1
    )
    rates = [protocol.learning_rate_at(step) for step in range(400)]
    assert rates == pytest.approx([1.0] * 100 + [0.1] * 100 + [0.01] * 100 + [0.001] * 100)


def test_warmup_of_a_constant_rate() -> None:
    protocol = replace(PROTOCOLS["roe2023"], warmup=3)
    assert [protocol.learning_rate_at(k) for k in range(5)] == pytest.approx(
        [0.0025, 0.005, 0.0075, 0.01, 0.01]
    )


def test_protocols_are_frozen() -> None:
    protocol: Any = PROTOCOLS["annealed"]
    with pytest.raises(FrozenInstanceError):
        protocol.steps = 1
    table: Any = PROTOCOLS
    with pytest.raises(TypeError):
        table["mine"] = protocol


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of sgd, adam, adamw, rmsprop, got 'lion'"),
        (
            {"schedule": "zigzag"},
            "schedule must be one of constant, cosine, linear, .*, got 'zigzag'",
        ),
        ({"reduction": "max"}, "reduction must be one of sum, mean, got 'max'"),
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"steps": 1.5}, "steps must be an integer of at least 1, got 1.5"),
        ({"batch_size": True}, "batch_size must be an integer of at least 1, got True"),
        ({"learning_rate": 0.0}, "learning_rate must be finite and above 0, got 0.0"),
        ({"learning_rate": math.inf}, "learning_rate must be finite and above 0, got inf"),
        ({"learning_rate": math.nan}, "learning_rate must be finite and above 0, got nan"),
        ({"eps": -1.0}, "eps must be finite and above 0, got -1.0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"alpha": -0.1}, r"alpha must be in \[0, 1\), got -0.1"),
        ({"betas": (0.9, 1.0)}, r"betas must be in \[0, 1\), got 1.0"),
        ({"betas": (0.9,)}, r"betas must be two numbers, got \(0.9,\)"),
        ({"weight_decay": -0.1}, "weight_decay must be finite and at least 0, got -0.1"),
        ({"weight_decay": 0.1}, "weight_decay is decoupled and needs optimizer='adamw', got 0.1"),
        ({"weight_init": 1.0}, r"weight_init must be Zero\(\), Normal\(std\) or XavierNormal\(\)"),
        ({"warmup": 6000}, "warmup must be less than the 6000 steps of training, got 6000"),
        ({"warmup": -1}, "warmup must be an integer of at least 0, got -1"),
        ({"final_rate": 1.1}, r"final_rate must be in \[0, 1\], got 1.1"),
        ({"schedule": "step"}, "schedule 'step' needs a final_rate above 0"),
        ({"schedule": "exponential"}, "schedule 'exponential' needs a final_rate above 0"),
        ({"drops": 0}, "drops must be an integer of at least 1, got 0"),
        ({"plateau": 3}, r"plateau must be None or a Plateau\(...\), got 3"),
        ({"bias_init": None}, "bias_init must be .*, got None"),
    ],
)
def test_bad_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PROTOCOLS["roe2023"], **changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": 0}, "window must be an integer of at least 1, got 0"),
        ({"patience": 1.5}, "patience must be an integer of at least 1, got 1.5"),
        ({"improvement": 1.0}, r"improvement must be in \[0, 1\), got 1.0"),
        ({"improvement": math.nan}, r"improvement must be in \[0, 1\), got nan"),
    ],
)
def test_bad_plateaus(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plateau(**values)


def test_bad_standard_deviation() -> None:
    with pytest.raises(ValueError, match="std must be finite and at least 0, got -1"):
        Normal(-1)


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"annealed, elhage2022, roe2023, .*, got 'adam'"):
        resolve_protocol("adam")


def test_a_name_is_altered_by_what_follows_it() -> None:
    found = resolve_protocol(
        "roe2023, steps=10, learning_rate=0.5,schedule=linear,weight_init=xavier,bias_init=0.25,"
        "mask=batch"
    )
    assert found == replace(
        PROTOCOLS["roe2023"],
        name="roe2023,steps=10,learning_rate=0.5,schedule=linear,weight_init=xavier,"
        "bias_init=0.25,mask=batch",
        steps=10,
        learning_rate=0.5,
        schedule="linear",
        weight_init=XavierNormal(),
        bias_init=Normal(0.25),
        mask="batch",
    )
    assert resolve_protocol("elhage2022,bias_init=zero").bias_init == Zero()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("roe2023,steps", "field=value with a field of optimizer, learning_rate"),
        ("roe2023,color=red", "got 'color=red'"),
        ("roe2023,source=me", "got 'source=me'"),
        ("roe2023,steps=many", "'many' is no value for steps"),
        ("roe2023,weight_init=small", "'small' is no value for weight_init"),
        ("roe2023,schedule=sine", "schedule must be one of"),
        ("roe,steps=5", "protocol must be a Protocol or one of"),
    ],
)
def test_alterations_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_protocol(text)
