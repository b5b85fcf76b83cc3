"""The experiments by name."""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from .experiment import Experiment

__all__ = ["EXPERIMENTS", "find_experiment"]

_MODULES: Final = (
    "introduction",
    "demonstrating",
    "demonstrating_optimum",
    "identities",
    "phase_change",
    "uniform_geometry",
    "nonuniform",
    "correlated",
    "local_bases",
    "pca_collapse",
    "dynamics",
    "privileged_basis",
    "absolute_value",
    "adversarial",
    "feature_definition",
    "replication_models",
    "replication_curve",
    "replication_diagrams",
)

EXPERIMENTS: Final = MappingProxyType(
    {
        experiment.name: experiment
        for module in _MODULES
        for experiment in import_module(f".experiments.{module}", __package__).EXPERIMENTS
    }
)
"""Every experiment, in the order of its source."""


def find_experiment(name: str) -> Experiment[Any]:
    """Return the experiment of a name.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> find_experiment("intro").title
    'Five features in two dimensions'
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"experiment must be one of {', '.join(EXPERIMENTS)}, got {name!r}")
    found: Experiment[Any] = EXPERIMENTS[name]
    return found
