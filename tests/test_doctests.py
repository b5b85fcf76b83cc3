"""Every example in a docstring of the installed package, one test per module.

pytest's own collection of doctests imports files by path; these are the modules that users import.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import superposition

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# `__main__` runs the command line when it is imported.
MODULES = [
    "superposition",
    *sorted(
        module.name
        for module in pkgutil.walk_packages(superposition.__path__, "superposition.")
        if not module.name.endswith("__main__")
    ),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=OPTIONS, report=True)
    assert failed == 0, "the report above says which examples differ"


def test_examples_are_found() -> None:
    """Each part of the package has examples: a walk that finds none proves nothing."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for part in ("model", "theory", "numerics", "validation"):
        prefix = f"superposition.{part}"
        modules = [name for name in MODULES if name == prefix or name.startswith(prefix + ".")]
        examples = sum(
            len(test.examples)
            for name in modules
            for test in finder.find(importlib.import_module(name))
        )
        assert examples > 0, part


@pytest.mark.parametrize("name", MODULES)
def test_public_objects_say_what_they_are(name: str) -> None:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)  # an `__all__` that names what is not there fails here
        if inspect.isclass(value) or inspect.isroutine(value):
            # A dataclass without a docstring gets its signature for one.
            doc = inspect.getdoc(value) or ""
            assert doc, f"{name}.{public} has no docstring"
            assert not doc.startswith(f"{public}("), f"{name}.{public} has no docstring"
    assert module.__doc__, f"{name} has no docstring"


def test_interface_is_complete() -> None:
    """The names that users and outside checks call, by the catalogue of each package."""
    promised = {
        "theory": ["OPTIMAL", "Configuration", "candidates", "derivation",
                   "dimensions_per_feature", "expected_loss", "feature_dimensionality",
                   "interference", "lam", "phase_boundary", "r", "s", "triple_points"],
        "numerics": ["global_minimum", "population_loss", "population_loss_and_grad", "train"],
        "validation": ["agreement", "phase_diagram", "plot_phase_diagram"],
    }  # fmt: skip
    for part, names in promised.items():
        catalogue = importlib.import_module(f"superposition.{part}").__all__
        assert set(names) <= set(catalogue), part
