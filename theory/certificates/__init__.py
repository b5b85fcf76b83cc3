"""Inequalities between losses and expressions, proved in exact arithmetic and printed."""

from .bernstein import PositivityProof, prove_positive
from .number_signs import SignProof, UndecidedCertificateError, prove_sign
from .one_sparse import PIECES, PairPiece, conjectured_losses, pair_sum, refutation
from .statements import Certificate, certify

__all__ = [
    "PIECES",
    "Certificate",
    "PairPiece",
    "PositivityProof",
    "SignProof",
    "UndecidedCertificateError",
    "certify",
    "conjectured_losses",
    "pair_sum",
    "prove_positive",
    "prove_sign",
    "refutation",
]
