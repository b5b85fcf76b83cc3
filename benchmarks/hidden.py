"""Exact loss and gradient against the number of hidden dimensions, m = 1 … n.

Random weights and biases, importances 1, density 0.1. The loss depends on W through WᵀW: more
dimensions change what has to be summed, and cost a matrix product. Baseline: sampling with
autograd, extrapolated to the same relative error. Times are those of `features`.

    python benchmarks/hidden.py [--quick]
"""

from __future__ import annotations

import argparse

from features import HEADER, RTOL, cells, compile_all, measure
from plain_loop import print_table

SIZES = {100: (1, 2, 5, 10, 30, 100), 400: (2, 10, 30, 100, 400)}
QUICK_SIZES = {40: (1, 5, 40)}
DENSITY = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="40 features")
    quick = parser.parse_args().quick
    compile_all()
    rows = []
    for n, hidden in (QUICK_SIZES if quick else SIZES).items():
        for m in hidden:
            rows.append([f"({n}, {m})", *cells(measure(n, m, DENSITY, 0.05 if quick else 0.3))])
    print(f"density {DENSITY}; errors relative to the loss; rtol = {RTOL:g}")
    print_table(["(n, m)", *HEADER], rows)


if __name__ == "__main__":
    main()
