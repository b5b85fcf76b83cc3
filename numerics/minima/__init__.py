"""Minima of the exact loss: descent, multistart, continuation, and a certificate."""
