"""Exact loss landscapes of toy models of superposition: derive, minimize, train, compare.

`superposition.theory` derives losses with SymPy, `superposition.numerics` computes and minimizes
the exact population loss and trains models, `superposition.validation` compares the two.
"""

from .architecture import ABSOLUTE_VALUE, RELU_HIDDEN, Architecture
from .features import Anticorrelated, CoActive, Correlated, Independent, OneHot
from .model import relative_importance
from .values import UNIFORM, ValueDistribution

__all__ = [
    "ABSOLUTE_VALUE",
    "RELU_HIDDEN",
    "UNIFORM",
    "Anticorrelated",
    "Architecture",
    "CoActive",
    "Correlated",
    "Independent",
    "OneHot",
    "ValueDistribution",
    "__version__",
    "relative_importance",
]

__version__ = "0.1.0"
