"""BLAS sees matrices of a few rows here, on which its threads do nothing but wait for each other.

Measured with two processes on two cores: critical penalties take 0.2 s each instead of 1 s.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when NumPy is imported, after this
