"""The protocols of the sources by name, and what is written behind a name to alter one."""

from __future__ import annotations

from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Final

from .protocols import Normal, Protocol, XavierNormal, Zero

__all__ = ["PROTOCOLS", "resolve_protocol"]

_ANNEALED: Final = Protocol(
    name="annealed",
    optimizer="adam",
    learning_rate=0.02,
    steps=4000,
    batch_size=128,
    schedule="cosine",
    weight_init=XavierNormal(),
    bias_init=Zero(),
    source=(
        "This package: a start small enough to choose a basin, a rate large enough to reach "
        "features that are rarely on, and a decay that lets the noise die out. Chosen among some "
        "twenty variants by the exact loss of the best of 10 replicas on the (2, 1) grid of "
        "densities 0.01 to 1 and importances 0.1 to 10."
    ),
)
_ELHAGE: Final = Protocol(
    name="elhage2022",
    optimizer="adamw",
    learning_rate=1e-3,
    steps=10_000,
    batch_size=1024,
    weight_init=XavierNormal(),
    bias_init=Zero(),
    reduction="mean",
    weight_decay=0.01,
    source=(
        "Elhage et al. 2022, Toy Models of Superposition, defaults of the training notebook: "
        "AdamW with PyTorch's default weight decay of 0.01 on W and b, and the mean over features "
        "of the weighted squared error. The Xavier fans are those of one model; the notebook's "
        "fans also count the models of a pack."
    ),
)
_ROE: Final = Protocol(
    name="roe2023",
    optimizer="adam",
    learning_rate=1e-2,
    steps=6000,
    batch_size=64,
    weight_init=Normal(1.5),
    bias_init=Normal(0.5),
    source=(
        "Roe's replication, ReLU models of figure 12, on the data that its text describes: a "
        "fresh mask per example and per feature."
    ),
)
_ROE_LINEAR: Final = replace(
    _ROE,
    name="roe2023-linear",
    batch_size=128,
    weight_init=Normal(1.0),
    bias_init=Normal(1.0),
    source="Roe's replication, linear models of figure 13, on data as its text has it.",
)
_OWN_FANS: Final = (
    "Fans are those of one model; the repository's also count the models of a pack, which makes "
    "its start smaller."
)

PROTOCOLS: Final = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            _ANNEALED,
            _ELHAGE,
            _ROE,
            replace(
                _ROE,
                name="roe2023-code",
                mask="batch",
                source=(
                    "Roe's replication, ReLU models of figure 12, as its code draws data: one mask "
                    "for a whole batch. The code switches all features together: give it "
                    "co-active features."
                ),
            ),
            _ROE_LINEAR,
            replace(
                _ROE_LINEAR,
                name="roe2023-linear-code",
                mask="batch",
                source="Roe's replication, linear models of figure 13, as its code draws data.",
            ),
            replace(
                _ELHAGE,
                name="ymgw55",
                schedule="cosine",
                source=(
                    "The recipe of the public repository of ymgw55: AdamW with PyTorch's default "
                    f"weight decay, cosine to 0. {_OWN_FANS}"
                ),
            ),
            replace(
                _ELHAGE,
                name="zfurman56",
                steps=5000,
                source=(
                    "The recipe of the public repository of zfurman56: AdamW with PyTorch's "
                    f"default weight decay. {_OWN_FANS}"
                ),
            ),
        )
    }
)


_STARTS: Final = MappingProxyType({"zero": Zero(), "xavier": XavierNormal()})
_READ: Final = MappingProxyType(
    {
        field.name: field.type
        for field in fields(Protocol)
        if field.name not in ("name", "source", "betas", "plateau")
    }
)


def resolve_protocol(protocol: str | Protocol) -> Protocol:
    """Return a protocol by its name, altered as is written behind it, or the protocol itself.

    Parameters
    ----------
    protocol : str or Protocol
        One of `PROTOCOLS`, with any number of ``,field=value`` behind it: fields of `Protocol`
        but betas and plateau, and for the initial weights and biases ``zero``, ``xavier`` or a
        standard deviation.

    Raises
    ------
    ValueError
        If the name is none of `PROTOCOLS`, a field is unknown, or a value is none of its field.

    Examples
    --------
    >>> resolve_protocol("roe2023").batch_size
    64
    >>> resolve_protocol("roe2023,steps=100,schedule=cosine,weight_init=0.1").weight_init
    Normal(std=0.1)
    """
    if isinstance(protocol, Protocol):
        return protocol
    name, *changes = (part.strip() for part in str(protocol).split(","))
    if name not in PROTOCOLS:
        raise ValueError(
            f"protocol must be a Protocol or one of {', '.join(PROTOCOLS)}, got {protocol!r}"
        )
    if not changes:
        return PROTOCOLS[name]
    altered = dict(_change(change) for change in changes)
    return replace(PROTOCOLS[name], name=",".join([name, *changes]), **altered)


def _change(text: str) -> tuple[str, Any]:
    """Read ``field=value``."""
    field, equals, value = (part.strip() for part in text.partition("="))
    if not equals or field not in _READ:
        raise ValueError(
            f"a protocol is altered by field=value with a field of {', '.join(_READ)}; got {text!r}"
        )
    kind = _READ[field]
    try:
        match kind:
            case "int":
                return field, int(value)
            case "float":
                return field, float(value)
            case "Initialization":
                return field, _STARTS[value] if value in _STARTS else Normal(float(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is no value for {field} of a protocol") from error
    return field, value
