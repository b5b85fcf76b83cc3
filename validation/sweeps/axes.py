"""What a sweep is computed from: phase diagrams over sizes, protocols, penalties and seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from ...features import FeatureDistribution
from ...numerics import Protocol
from ...theory import candidates
from ..phases import phase_names
from .configuration import PhaseDiagramConfiguration, differing_settings

__all__ = ["FIELDS", "SweepConfiguration"]

FIELDS = {
    "size": ("n_features", "n_hidden"),
    "protocol": ("protocol",),
    "penalty": ("penalty",),
    "seed": ("seed",),
}
"""The dimensions a sweep may have beside those of a diagram, and the settings that vary there."""


@dataclass(frozen=True)
class SweepConfiguration:
    """Everything that the numbers of a sweep depend on: one phase diagram per place on its axes.

    Attributes
    ----------
    base : PhaseDiagramConfiguration
        The diagram at the first value of every axis.
    axes : tuple of (str, tuple)
        Names and values of the dimensions beside density and importance, in the order of the
        dataset: of "size" (pairs n_features, n_hidden), "protocol", "penalty" and "seed". A
        configuration without axes is that of a single diagram.
    """

    base: PhaseDiagramConfiguration
    axes: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    @classmethod
    def validated(
        cls,
        sizes: Sequence[int] | Sequence[Sequence[int]],
        *,
        density: ArrayLike,
        importance: ArrayLike,
        protocol: str | Protocol | Sequence[str | Protocol],
        penalty: float | Sequence[float],
        seed: int | Sequence[int],
        replicas: int,
        starts: int,
        activation: str,
        features: FeatureDistribution | None,
    ) -> SweepConfiguration:
        """Check every value and return the configuration; a sequence becomes a dimension.

        Raises
        ------
        ValueError
            If a value is out of range, or occurs twice along a dimension.
        """
        given = {"size": _sizes(sizes), "protocol": protocol, "penalty": penalty, "seed": seed}
        lists = {name: value for name, value in given.items() if _varies(name, value)}
        for name, values in lists.items():
            if not len(values):
                raise ValueError(f"{name} must be one value or a sequence of values, got none")
        first = given | {name: values[0] for name, values in lists.items()}

        def checked(**changes: Any) -> PhaseDiagramConfiguration:
            chosen = first | changes
            n_features, n_hidden = chosen.pop("size")
            return PhaseDiagramConfiguration.validated(
                n_features, n_hidden, **chosen, density=density, importance=importance,
                replicas=replicas, starts=starts, activation=activation, features=features,
            )  # fmt: skip

        axes = tuple(
            (name, tuple(_value(checked(**{name: value}), name) for value in values))
            for name, values in lists.items()
        )
        configuration = cls(checked(), axes)
        for name, _ in axes:
            labels = configuration.labels(name)
            if len(set(labels)) < len(labels):
                raise ValueError(
                    f"values along {name} must differ, got {', '.join(map(str, labels))}"
                )
        return configuration

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes, of density and of importance."""
        outer = tuple(len(values) for _, values in self.axes)
        return (*outer, len(self.base.density), len(self.base.importance))

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes, and density and importance."""
        return (*(name for name, _ in self.axes), "density", "importance")

    def labels(self, axis: str) -> list[Any]:
        """Return the coordinates along an axis: names of protocols, sizes such as "3 in 2"."""
        values = dict(self.axes)[axis]
        if axis == "protocol":
            return [protocol.name for protocol in values]
        return [size_label(*pair) for pair in values] if axis == "size" else list(values)

    def diagram(self, place: Iterable[int]) -> PhaseDiagramConfiguration:
        """Return the configuration of the diagram at a place on the axes."""
        chosen: dict[str, Any] = {}
        for (name, values), k in zip(self.axes, place, strict=True):
            value = values[k] if name == "size" else (values[k],)
            chosen |= dict(zip(FIELDS[name], value, strict=True))
        return replace(self.base, **chosen)

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The model sizes (n_features, n_hidden) that occur."""
        return dict(self.axes).get("size", ((self.base.n_features, self.base.n_hidden),))

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases of all sizes; a code of the dataset is a place in this tuple."""
        return tuple(dict.fromkeys(chain.from_iterable(phase_names(*s) for s in self.sizes)))

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """Names of the theory's candidates of all sizes."""
        return tuple(dict.fromkeys(c.name for s in self.sizes for c in candidates(*s)))

    def length(self, dim: str) -> int:
        """Return the length of any dimension of the dataset."""
        inner = {
            "candidate": len(self.candidates),
            "replica": self.base.replicas,
            "hidden": max(m for _, m in self.sizes),
            "feature": max(n for n, _ in self.sizes),
        }
        return inner[dim] if dim in inner else self.shape[self.dims.index(dim)]

    def to_json(self) -> str:
        """Return JSON text, the same for equal configurations.

        It is that of the diagram if there is but one; else the settings that vary are lists, and
        ``dimensions`` names the axes.
        """
        settings: dict[str, Any] = json.loads(self.base.to_json())
        if self.axes:
            settings["dimensions"] = [name for name, _ in self.axes]
        for axis, (name, values) in enumerate(self.axes):
            along = []
            for k in range(len(values)):
                place = [k if other == axis else 0 for other in range(len(self.axes))]
                along.append(json.loads(self.diagram(place).to_json()))
            settings |= {field: [one[field] for one in along] for field in FIELDS[name]}
        return json.dumps(settings, sort_keys=True)

    def differences(self, other_json: str) -> tuple[str, ...]:
        """Name the settings in which this configuration differs from one given as JSON."""
        return differing_settings(self.to_json(), other_json)


def size_label(n_features: int, n_hidden: int) -> str:
    """Return the coordinate of a model size.

    Examples
    --------
    >>> size_label(3, 2)
    '3 in 2'
    """
    return f"{n_features} in {n_hidden}"


def _sizes(sizes: Any) -> Any:
    """Return one size as a tuple, and several as a list of tuples."""
    shape = np.shape(sizes)
    if shape == (2,):
        return tuple(sizes)
    if len(shape) != 2 or shape[1] != 2:
        raise ValueError(
            f"sizes must be a pair (n_features, n_hidden) or a sequence of pairs, got {sizes!r}"
        )
    return [tuple(pair) for pair in cast(Sequence[Sequence[int]], sizes)]


def _varies(name: str, value: Any) -> bool:
    if name == "size":
        return isinstance(value, list)
    return not isinstance(value, str | Protocol) and np.ndim(value) > 0


def _value(diagram: PhaseDiagramConfiguration, name: str) -> Any:
    values = tuple(getattr(diagram, field) for field in FIELDS[name])
    return values if name == "size" else values[0]
