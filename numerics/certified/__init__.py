"""Global minima of two features in one dimension, certified by branch and bound."""

from .minimum import CertifiedMinimum, Minimizers, certified_minimum

__all__ = ["CertifiedMinimum", "Minimizers", "certified_minimum"]
