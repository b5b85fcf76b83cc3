"""Exact loss landscapes of toy models of superposition: derive, minimize, train, compare.

`superposition.theory` derives losses with SymPy, `superposition.numerics` computes and minimizes
the exact population loss and trains models, `superposition.validation` compares the two.
"""

from .model import IndependentUniform, relative_importance

__all__ = ["IndependentUniform", "__version__", "relative_importance"]

__version__ = "0.1.0"
