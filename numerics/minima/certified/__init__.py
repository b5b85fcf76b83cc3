"""Global minima of two features in one dimension, certified by branch and bound."""

from .cells import CellCertificate, certify_cell
from .minimum import CertifiedMinimum, Minimizers, certified_minimum

__all__ = [
    "CellCertificate",
    "CertifiedMinimum",
    "Minimizers",
    "certified_minimum",
    "certify_cell",
]
