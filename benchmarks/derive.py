"""Deriving: seconds for the exact loss of named configurations, against the plain vertex sum.

The plain implementation is the definition written down with SymPy expressions: for each output,
every set of active features, and every vertex of its box. Outputs are alike in the regular
configurations, and where all of them would take minutes it is timed for one and multiplied; the
results are compared either way. "optimal" is the exact loss with optimal biases at density 1/10.

    python benchmarks/derive.py [--quick]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import Any

import sympy
from plain_loop import print_table
from sympy import Rational

from superposition.theory import (
    OPTIMAL,
    Configuration,
    candidates,
    derive_loss,
    expected_loss,
    named_configuration,
    s,
)

NAMES = ("triangle", "pentagon", "simplex 5", "octahedron", "heptagon", "octagon",
         "square antiprism", "cube")  # fmt: skip
QUICK = ("triangle", "pentagon", "simplex 5")
WHOLE = 5
"""Features up to which the plain sum is taken over all outputs."""


def plain_output(gram: sympy.Matrix, index: int) -> sympy.Expr:
    """Return E (x_i − (g·x)₊)², term by term from the definition."""
    n = gram.shape[0]
    total = sympy.S.Zero
    relevant = [j for j in range(n) if gram[index, j] != 0 or j == index]
    for size in range(len(relevant) + 1):
        for active in combinations(relevant, size):
            g = [gram[index, j] for j in active]
            own = active.index(index) if index in active else None
            probability = s**size * (1 - s) ** (len(relevant) - size)
            total += probability * plain_box(g, own)
    return sympy.expand(total)


def plain_box(g: list[sympy.Expr], own: int | None) -> sympy.Expr:
    """Return the integral over the box: E z₊² − 2 E x z₊ + E x² by sums over vertices."""
    k = len(g)
    volume = sympy.prod(g)
    second = cross = sympy.S.Zero
    for v in product((0, 1), repeat=k):
        z = sum(gj * vj for gj, vj in zip(g, v, strict=True))
        if sympy.N(z) <= 1e-12:
            continue
        sign = (-1) ** (k - sum(v))
        second += 2 * sign * z ** (k + 2) / (sympy.factorial(k + 2) * volume)
        if own is not None and v[own]:
            cross += sign * z ** (k + 1) / (sympy.factorial(k + 1) * volume)
    if own is None:
        return second
    return second - 2 * (cross - second / (2 * g[own])) + Rational(1, 3)


def seconds(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(configuration: Configuration, optimal: bool) -> list[str]:
    name, n = configuration.name, configuration.n_features
    fast, model = seconds(lambda: derive_loss(configuration.W))
    outputs = n if n <= WHOLE else 1
    slow, losses = seconds(lambda: [plain_output(model.gram, i) for i in range(outputs)])
    for output, loss in zip(model.outputs, losses, strict=False):
        at = {s: Rational(1, 3)}
        assert abs(sympy.N((output.loss - loss).subs(at), 30)) < 1e-12, name
    slow *= n / outputs
    best = "-"
    if optimal:
        took, _ = seconds(lambda: expected_loss(configuration.W, OPTIMAL, density=Rational(1, 10)))
        best = f"{took:.2f} s"
    size = f"({n}, {configuration.n_hidden})"
    return [name, size, f"{fast:.3f} s", f"{slow:.2f} s", f"{slow / fast:,.0f}", best]


def candidate_losses(n_features: int, n_hidden: int) -> list[sympy.Expr]:
    return [candidate.loss() for candidate in candidates(n_features, n_hidden)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small configurations only")
    quick = parser.parse_args().quick
    expected_loss([[1, -1]])  # imports what SymPy imports late
    for sizes in ((2, 1), (3, 2)):
        took, _ = seconds(partial(candidate_losses, *sizes))
        print(f"all candidates of {sizes}: {took:.3f} s")
    rows = [compare(named_configuration(name), not quick) for name in (QUICK if quick else NAMES)]
    print_table(["configuration", "(n, m)", "zero bias", "plain sum", "ratio", "optimal"], rows)


if __name__ == "__main__":
    main()
