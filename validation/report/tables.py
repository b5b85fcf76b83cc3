"""Tables of a report, as HTML; they also show themselves in a notebook."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from ...theory import candidates, triple_points
from ..comparison.agreement import GAP_LABELS, agreement, phases_of, relative_gaps
from ..comparison.plots import boundaries_of, exact_penalty
from ..sweeps.configuration import features_of, settings_of
from .formulas import biases, boundary_range, formula

__all__ = [
    "Fragment",
    "agreement_tables",
    "closed_forms",
    "configuration_table",
    "gap_table",
    "html_table",
    "version_table",
]

_PACKAGES = (
    "superposition", "numpy", "scipy", "sympy", "numba", "torch", "xarray", "zarr", "plotly",
)  # fmt: skip


_NOTEBOOK_STYLE = """<style>
.superposition caption { text-align: left; font-weight: 600; }
.superposition th, .superposition td { text-align: right; padding: 0.15em 0.7em; }
.superposition .t { text-align: left; }
.superposition tbody th { font-weight: normal; }
.superposition table { margin-bottom: 1em; }
</style>"""  # the page has a style of its own


@dataclass(frozen=True)
class Fragment:
    """A piece of HTML, shown as such by notebooks.

    Attributes
    ----------
    html : str
        With every name escaped.
    """

    html: str

    def _repr_html_(self) -> str:
        return f'<div class="superposition">{_NOTEBOOK_STYLE}{self.html}</div>'


def html_table(
    caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1
) -> str:
    """Return a table; headers and cells are HTML, the caption is text.

    So many columns at the left hold text, the others numbers.
    """
    kind = [' class="t"' if k < texts else "" for k in range(len(headers))]
    head = "".join(
        f'<th scope="col"{k}>{header}</th>' for k, header in zip(kind, headers, strict=True)
    )
    lines = []
    for name, *rest in rows:
        cells = [f"<td{k}>{cell}</td>" for k, cell in zip(kind[1:], rest, strict=True)]
        lines.append(f'<tr><th scope="row" class="t">{name}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def agreement_tables(dataset: xr.Dataset, compared: xr.Dataset | None = None) -> Fragment:
    """Return how far theory, optimum and trained models agree, as tables.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.
    compared : xarray.Dataset, optional
        Its `agreement`; computed if it is not given.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1, 0.2], importance=[0.8, 1], replicas=2, starts=16)
    >>> "theory-optimum" in agreement_tables(diagram).html
    True
    """
    compared = agreement(dataset) if compared is None else compared
    names = phases_of(dataset)
    shares = html_table(
        "Agreement of phases, with 95 % intervals over the replicas",
        ("maps", "all points", "away from boundaries", "Cohen’s κ"),
        (
            (escape(str(pair)), *(_interval(compared, name, pair=pair) for name in _SHARES))
            for pair in compared["pair"].values
        ),
    )
    counts = [
        _confusion(compared["confusion"].sel(pair=pair).values, names, str(pair))
        for pair in compared["pair"].values
    ]
    return Fragment("".join([shares, *counts, _displacements(compared, names)]))


_SHARES = ("agreement", "agreement_away", "kappa")
_SHIFTS = ("displacement_density", "displacement_log10_importance")


def _interval(compared: xr.Dataset, name: str, **place: Any) -> str:
    at = compared.sel(**place)
    value, low, high = (float(at[name + suffix]) for suffix in ("", "_low", "_high"))
    if not np.isfinite(value):
        return "–"
    return f"{value:.3f} <small>[{low:.3f}, {high:.3f}]</small>".replace("-", "−")


def _confusion(counts: Any, names: Sequence[str], pair: str) -> str:
    used = [k for k in range(len(names)) if counts[k].any() or counts[:, k].any()]
    return html_table(
        f"Points by phase, {pair}: rows are the first map, columns the second",
        ["", *(escape(names[k]) for k in used)],
        ([escape(names[k]), *(str(int(counts[k, j])) for j in used)] for k in used),
    )


def _displacements(compared: xr.Dataset, names: Sequence[str]) -> str:
    rows = []
    for pair in compared["pair"].values:
        for phase in names:
            for edge in compared["edge"].values:
                place = {"pair": pair, "phase": phase, "edge": edge}
                shifts = [_interval(compared, name, **place) for name in _SHIFTS]
                if any(shift != "–" for shift in shifts):
                    rows.append([*(escape(str(x)) for x in (pair, phase, edge)), *shifts])
    return html_table(
        "Mean displacement of a phase’s edges from the first map to the second, one grid step "
        "being the resolution",
        ("maps", "phase", "edge", "in density", "in log<sub>10</sub> r"),
        rows,
        texts=3,
    )


def gap_table(dataset: xr.Dataset) -> Fragment:
    """Return where the loss goes: quantiles of the gaps relative to the optimum.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1, 0.2], importance=[0.8, 1], replicas=2, starts=16)
    >>> gap_table(diagram).html.count("<tr>")
    5
    """
    rows = []
    for name, gap in relative_gaps(dataset).items():
        finite = gap[np.isfinite(gap)]
        shown = [percent(np.quantile(finite, q)) if finite.size else "–" for q in (0.5, 0.9, 1.0)]
        rows.append((escape(GAP_LABELS[name]), *shown))
    return Fragment(
        html_table(
            "Loss above the exact optimum, relative to it, over the points (and replicas)",
            ("part", "median", "90 % quantile", "largest"),
            rows,
        )
    )


def percent(share: float) -> str:
    """Return a share as a percentage of three digits; below 1e-12 it is rounding, and 0.

    Examples
    --------
    >>> percent(0.012345), percent(12.3), percent(1e-7), percent(0)
    ('1.23 %', '1230 %', '1.00e−5 %', '0 %')
    """
    value = 100 * float(share)
    if abs(value) < 1e-10:
        return "0 %"
    text = f"{value:#.3g}" if 1e-3 <= abs(value) < 1e3 else f"{value:.2e}"
    if 1e3 <= abs(value) < 1e6:
        text = f"{value:.0f}"
    return text.rstrip(".").replace("e-0", "e-").replace("e+0", "e").replace("-", "−") + " %"


def closed_forms(dataset: xr.Dataset) -> Fragment:
    """Return the candidates' losses, their boundaries and triple points, derived for this model.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1], importance=[1], replicas=1, starts=8)
    >>> closed_forms(diagram).html.count("<table>")
    3
    """
    settings = settings_of(dataset)
    model: dict[str, Any] = {
        "activation": settings["activation"],
        "penalty": exact_penalty(settings),
        "features": features_of(settings),
    }
    shown = candidates(settings["n_features"], settings["n_hidden"])
    losses = html_table(
        "Candidates of the theory: weights, biases, expected loss for importances (1, …, 1, r)",
        ("phase", "W", "b", "loss"),
        ((escape(c.name), formula(c.W), biases(c), formula(c.loss(**model))) for c in shown),
        texts=4,
    )
    lines = html_table(
        "Boundaries between them",
        ("between", "and", "boundary", "where"),
        (
            (
                escape(line.first.name),
                escape(line.second.name),
                formula(line.solve_for, " = ", line.solution),
                boundary_range(line),
            )
            for line in boundaries_of(settings)
        ),
        texts=4,
    )
    points = triple_points(shown, **model) if len(shown) > 2 else ()
    meetings = html_table(
        "Points where three or more of them meet",
        ("phases", "r", "s", "loss"),
        (
            (
                escape(", ".join(c.name for c in point.configurations)),
                *(formula(value) for value in (point.r, point.s, point.loss)),
            )
            for point in points
        ),
        texts=4,
    )
    return Fragment(losses + lines + meetings)


def configuration_table(dataset: xr.Dataset) -> Fragment:
    """Return everything that the numbers of a dataset depend on."""
    settings = settings_of(dataset)
    rows = []
    for name, value in sorted(settings.items()):
        if name in ("density", "importance"):
            text = f"{len(value)} values from {value[0]:.6g} to {value[-1]:.6g}"
        elif isinstance(value, dict):
            text = ", ".join(f"{key} = {_shown(entry)}" for key, entry in value.items())
        else:
            text = _shown(value)
        rows.append((escape(name), escape(text)))
    return Fragment(html_table("Configuration", ("setting", "value"), rows, texts=2))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def version_table() -> Fragment:
    """Return the versions of Python and of the packages that write the report."""
    rows = [("Python", platform.python_version())]
    rows += [(escape(name), escape(version(name))) for name in _PACKAGES]
    return Fragment(
        html_table("Versions that wrote this report", ("package", "version"), rows, texts=2)
    )
