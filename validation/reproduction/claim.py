"""The claims of the sources: what is said, and the test that was fixed before it was run."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

__all__ = ["Claim", "all_claims", "read_claims"]

Basis = Literal["closed form", "exact optimum", "exact loss", "trained"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a source, and how it is judged.

    Attributes
    ----------
    name : str
        Unique; words joined by hyphens.
    experiment : str
        Which of the experiments measures it.
    source, place : str
        Who says it, and where.
    statement : str
        In the words of this project.
    quantity : str
        Name of what the experiment measures.
    at_least, at_most : float
        The claim holds where the quantity lies between them.
    falsifier : str
        What would show that the claim is wrong.
    minimum_seeds : int
        Trained models below which nothing is concluded; 0 for what needs none.
    judged : {"closed form", "exact optimum", "exact loss", "trained"}
        What the quantity is made of. "exact loss" is the exact loss of trained models.

    Raises
    ------
    ValueError
        If a field is empty, no bound is given, or they exclude everything.
    """

    name: str
    experiment: str
    source: str
    place: str
    statement: str
    quantity: str
    falsifier: str
    judged: Basis
    minimum_seeds: int = 0
    at_least: float = -math.inf
    at_most: float = math.inf

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "str" and (not isinstance(value, str) or not value.strip()):
                raise ValueError(f"claim {self.name!r}: {field.name} must be text, got {value!r}")
        if self.judged not in get_args(Basis):
            raise ValueError(
                f"claim {self.name!r}: judged must be one of {', '.join(get_args(Basis))}, "
                f"got {self.judged!r}"
            )
        if not isinstance(self.minimum_seeds, int) or self.minimum_seeds < 0:
            raise ValueError(
                f"claim {self.name!r}: minimum_seeds must be an integer of at least 0, "
                f"got {self.minimum_seeds!r}"
            )
        self._check_bounds()

    def _check_bounds(self) -> None:
        for bound in (self.at_least, self.at_most):
            if isinstance(bound, bool) or not isinstance(bound, int | float) or math.isnan(bound):
                raise ValueError(f"claim {self.name!r}: bounds must be numbers, got {bound!r}")
        if self.at_least == -math.inf and self.at_most == math.inf:
            raise ValueError(
                f"claim {self.name!r} needs at_least or at_most, else nothing fails it"
            )
        if self.at_least > self.at_most:
            raise ValueError(
                f"claim {self.name!r}: at_least {self.at_least} exceeds at_most {self.at_most}"
            )

    @property
    def test(self) -> str:
        """The condition in words."""
        if self.at_most == math.inf:
            return f"{self.quantity} ≥ {self.at_least:g}"
        if self.at_least == -math.inf:
            return f"{self.quantity} ≤ {self.at_most:g}"
        return f"{self.at_least:g} ≤ {self.quantity} ≤ {self.at_most:g}"


def read_claims(text: str) -> tuple[Claim, ...]:
    r"""Read claims from TOML: a table ``[[claim]]`` for each.

    Parameters
    ----------
    text : str

    Returns
    -------
    tuple of Claim
        In the order of the text.

    Raises
    ------
    ValueError
        If the text is no TOML, a key is missing or unknown, a value is none of its field, or two
        claims have one name.

    Examples
    --------
    >>> read_claims("[[claim]]\nname = 'x'")
    Traceback (most recent call last):
        ...
    ValueError: claim 'x' lacks experiment, source, place, statement, quantity, falsifier, judged
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the claims are no TOML: {error}") from error
    entries = document.get("claim", [])
    if set(document) - {"claim"} or not isinstance(entries, list):
        raise ValueError(f"claims are tables [[claim]], got {', '.join(document)}")
    claims = tuple(_claim(entry) for entry in entries)
    names = [claim.name for claim in claims]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two claims have the name {name!r}")
    return claims


def _claim(entry: Mapping[str, Any]) -> Claim:
    known = {field.name: field.default is MISSING for field in fields(Claim)}
    name = entry.get("name")
    missing = [key for key, needed in known.items() if needed and key not in entry]
    if missing:
        raise ValueError(f"claim {name!r} lacks {', '.join(missing)}")
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise ValueError(
            f"claim {name!r} has the unknown key {unknown[0]!r}; known are {', '.join(known)}"
        )
    return Claim(**entry)


@cache
def all_claims() -> tuple[Claim, ...]:
    """Return the claims of the sources that this package tests, by source and experiment."""
    folder = files(__package__) / "claims"
    found = sorted((entry for entry in folder.iterdir()), key=lambda entry: entry.name)
    texts = [
        entry.read_text(encoding="utf-8") for entry in found if Path(entry.name).suffix == ".toml"
    ]
    return read_claims("\n".join(texts))
