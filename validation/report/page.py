"""The report of a phase diagram as one HTML page that needs nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr
from plotly.offline import get_plotlyjs

from ... import __version__
from ...features import Independent
from ...theory import PhaseBoundary, candidates
from ..comparison.agreement import agreement, phases_of, relative_gaps
from ..comparison.plots import boundaries_of, phase_colors
from ..sweeps.configuration import features_of, settings_of
from .causes import causes_section
from .interactive import figure_of
from .landscape import DEFAULT_STARTS, landscape, pair_probability
from .panels import Kind, Panel, panels, phases_shown
from .payload import as_script, encode, fitting
from .printed import picture_of
from .tables import (
    agreement_tables,
    closed_forms,
    configuration_table,
    gap_table,
    percent,
    version_table,
)

__all__ = ["GENERATOR", "report_html"]

GENERATOR = "superposition report"
Boundaries = tuple[PhaseBoundary, ...]
_NEEDED = (
    "theory_phase", "theory_loss", "candidate_loss", "optimum_phase", "optimum_loss", "optimum_W",
    "optimum_b", "trained_phase", "trained_loss", "trained_W", "trained_b", "best_trained_phase",
    "diverged", "stuck_fraction", "approximation_gap", "optimization_gap", "basin_gap",
    "protocol_gap",
)  # fmt: skip
_SCRIPTS = ("loss.js", "data.js", "page.js")


def report_html(
    dataset: xr.Dataset, *, starts: int = DEFAULT_STARTS, maps: xr.Dataset | None = None
) -> str:
    """Return the report of a phase diagram as the text of an HTML page.

    The page holds everything that it shows: figures, tables, formulas, the dataset, and the
    library that draws. A policy in it forbids the browser to load anything, and to run any script
    but its own. Names from the dataset are shown as text. Equal datasets give equal pages, byte
    for byte, under equal versions of the packages.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.
    starts : int
        Random starts per point of the search for further local minima; see `landscape`.
    maps : xarray.Dataset, optional
        As `attribution` returns them; the page then says why trained maps differ from the theory.

    Raises
    ------
    ValueError
        If the dataset was not made by `phase_diagram`, or is too large for one page.
    """
    lines = boundaries_of(settings_of(dataset))
    absent = [name for name in _NEEDED if name not in dataset]
    if absent:
        raise ValueError(
            f"the dataset lacks {', '.join(absent)}; pass it whole, as phase_diagram returns it"
        )
    shown = panels(dataset)
    held, left_out = fitting(_held(dataset, starts))
    scripts = [get_plotlyjs(), "\n".join(["'use strict';", *map(_asset, _SCRIPTS)])]
    body = "\n".join(
        [
            *_introduction(dataset),
            *_explorer(dataset, shown, lines),
            *([] if maps is None else causes_section(maps)),
            *_tables(dataset),
            *_sources(dataset, held, left_out),
            _data_script("dataset", encode(held)),
            _data_script("settings", _settings(dataset)),
            _data_script("figures", [_figure(panel, dataset, lines) for panel in shown]),
            *(f"<script>{script}</script>" for script in scripts),
        ]
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="{GENERATOR} {escape(__version__)}">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_title(dataset))}</title>
<style>
{_asset("page.css")}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: list[str]) -> str:
    """Allow these scripts and nothing else to run, and nothing at all to be loaded."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _held(dataset: xr.Dataset, starts: int) -> xr.Dataset:
    """Return all data of the page, with the names of phases and candidates left to `_settings`."""
    return dataset.drop_vars("feature", errors="ignore").merge(landscape(dataset, starts=starts))


def _data_script(name: str, value: Any) -> str:
    return f'<script type="application/json" id="{name}">{as_script(value)}</script>'


def _settings(dataset: xr.Dataset) -> dict[str, Any]:
    settings = settings_of(dataset)
    n, m = settings["n_features"], settings["n_hidden"]
    weights = [c.W_array()[0].tolist() for c in candidates(n, m)] if (n, m) == (2, 1) else []
    return {
        "phases": list(phases_of(dataset)),
        "candidates": [str(name) for name in dataset["candidate"].values],
        "candidate_weights": weights,
        "n_features": n,
        "n_hidden": m,
        "activation": settings["activation"],
        "penalty": settings["penalty"],
        "pair_probability": pair_probability(dataset),
        "first_point": _first_point(dataset),
        "maps": [[p.name, p.title] for p in panels(dataset) if p.kind is Kind.PHASE],
    }


def _first_point(dataset: xr.Dataset) -> list[int]:
    """Return the point that is shown first: where the closed forms miss most."""
    gap = np.nan_to_num(relative_gaps(dataset)["approximation_gap"], nan=-1.0)
    return [int(k) for k in np.unravel_index(gap.argmax(), gap.shape)]


def _figure(panel: Panel, dataset: xr.Dataset, lines: Boundaries) -> dict[str, Any]:
    figure: dict[str, Any] = json.loads(figure_of(panel, dataset, lines).to_json())
    gaps = None
    if panel.kind is Kind.GAP:
        gaps = [
            [float(f"{x:.4g}") if np.isfinite(x) else None for x in row] for row in panel.values
        ]
    return {"name": panel.name, "kind": panel.kind.value, "gaps": gaps, **figure}


def _title(dataset: xr.Dataset) -> str:
    return str(dataset.attrs.get("title", "Phase diagram"))


def _introduction(dataset: xr.Dataset) -> Iterator[str]:
    settings = settings_of(dataset)
    n, m, replicas = settings["n_features"], settings["n_hidden"], settings["replicas"]
    features = features_of(settings)
    kind = "ReLU" if settings["activation"] == "relu" else "Linear"
    inputs = "" if features == Independent() else f", inputs {features!r}"
    penalty = f", penalty λ = {settings['penalty']:g}" if settings["penalty"] else ""
    yield f"<h1>{escape(_title(dataset))}</h1>"
    yield (
        f'<p class="quiet">{kind} models of {n} features in {m} hidden '
        f"dimension{'s' if m > 1 else ''}{escape(inputs)}{penalty}; "
        f"{len(settings['density'])} densities × {len(settings['importance'])} relative "
        f"importances × {replicas} trained replica{'s' if replicas > 1 else ''}.</p>"
    )
    yield (
        "<p>Which weights have the lowest loss, at density s = P(x<sub>i</sub> ≠ 0) and relative "
        "importance r of the last feature? Three answers are compared: the lowest of the "
        "closed forms (theory), the minimum of the exact loss (optimum), and what training finds "
        "(trained). The literature often calls 1 − s sparsity. The loss is a sum over features, "
        "Σ I<sub>i</sub> E(x<sub>i</sub> − x̂<sub>i</sub>)², with importances (1, …, 1, r).</p>"
    )
    yield from _findings(dataset)


def _findings(dataset: xr.Dataset) -> Iterator[str]:
    optimum = dataset["optimum_phase"].values
    gaps = relative_gaps(dataset)
    theory = (dataset["theory_phase"].values == optimum).mean()
    trained = (dataset["best_trained_phase"].values == optimum).mean()
    stuck = float(dataset["stuck_fraction"].mean())
    missed, excess = (
        gaps[name][np.isfinite(gaps[name])] for name in ("approximation_gap", "optimization_gap")
    )
    most = f" and miss up to {percent(missed.max())} of its loss" if missed.size else ""
    near = f", {percent(np.median(excess))} above it in the median" if excess.size else ""
    yield (
        '<ul class="findings">'
        f"<li>The closed forms name the phase of the optimum at {percent(theory)} of the points"
        f"{most}.</li>"
        f"<li>The best replica has the phase of the optimum at {percent(trained)} of the points"
        f"{near}.</li>"
        f"<li>{percent(stuck)} of the replicas sit above another local minimum.</li></ul>"
    )


def _explorer(dataset: xr.Dataset, shown: tuple[Panel, ...], lines: Boundaries) -> Iterator[str]:
    names, colors = phases_of(dataset), phase_colors(len(phases_of(dataset)))
    legend = "".join(
        f'<li><i style="background:{colors[k]}"></i>{escape(names[k])}</li>'
        for k in phases_shown(dataset)
    )
    yield '<div class="explorer"><section>'
    yield "<h2>Phase diagrams</h2>"
    yield (
        '<p class="interactive screen">Point at a map to see what the dataset holds there; click, '
        "or tap, to draw the landscape of the loss. The black lines are the closed-form "
        "boundaries.</p>"
    )
    yield (
        f'<ul class="legend">{legend}<li><i class="line"></i>closed-form boundary</li></ul>'
        f'<div class="maps">{"".join(_map(p, dataset, lines) for p in shown if p.kind is not Kind.GAP)}</div>'
    )
    yield f"</section>{_DETAILS}<section>"
    yield "<h2>Where the loss goes</h2>"
    yield (
        "<p>A replica’s loss above the optimum is the sum of two parts: what its local minimum "
        "costs, and what its training has not converged. All gaps are relative to the optimum’s "
        "loss.</p>"
        f'<div class="maps">{"".join(_map(p, dataset, lines) for p in shown if p.kind is Kind.GAP)}</div>'
    )
    yield "</section></div>"


_DETAILS = """<section class="details interactive" aria-label="Details of one point">
<h2>One point</h2>
<p class="controls"><label>density s <select id="density"></select></label>
<label>relative importance r <select id="importance"></select></label></p>
<figure><div id="landscape" role="img" aria-labelledby="landscape-text"></div>
<figcaption><span id="landscape-text"></span></figcaption></figure>
<div id="point"></div>
<details id="all-points" class="controls"><summary>All points of this density as a table</summary>
<div id="points"></div></details>
</section>"""


def _map(panel: Panel, dataset: xr.Dataset, lines: Boundaries) -> str:
    picture = base64.b64encode(picture_of(panel, dataset, lines)).decode("ascii")
    alternative = escape(f"{panel.title}. {panel.meaning} {_shares(panel, dataset)}", quote=True)
    return (
        f'<figure><figcaption id="{panel.name}-title">{escape(panel.title)}'
        f"<span>{escape(panel.meaning)}</span></figcaption>"
        f'<div class="plot" id="{panel.name}" role="img" aria-label="{alternative}"></div>'
        f'<img class="static" alt="{alternative}" src="data:image/png;base64,{picture}"></figure>'
    )


def _shares(panel: Panel, dataset: xr.Dataset) -> str:
    """Say in a sentence what a map shows, for readers who do not see it."""
    if panel.kind is Kind.PHASE:
        names, total = phases_of(dataset), panel.values.size
        codes, counts = np.unique(panel.values.astype(int), return_counts=True)
        parts = [f"{names[k]} {percent(c / total)}" for k, c in zip(codes, counts, strict=True)]
        return f"Share of the points: {', '.join(parts)}."
    finite = panel.values[np.isfinite(panel.values)]
    if not finite.size:
        return "No value."
    return f"Median {percent(np.median(finite))}, largest {percent(finite.max())}."


def _tables(dataset: xr.Dataset) -> Iterator[str]:
    yield gap_table(dataset).html
    yield "<h2>Agreement</h2>"
    yield agreement_tables(dataset, agreement(dataset)).html
    yield "<h2>Closed forms</h2>"
    yield closed_forms(dataset).html


def _sources(dataset: xr.Dataset, held: xr.Dataset, left_out: tuple[str, ...]) -> Iterator[str]:
    absent = ""
    if left_out:
        absent = f" Left out, because the page would be too large: {escape(', '.join(left_out))}."
    yield "<h2>Data and configuration</h2>"
    yield (
        '<p class="interactive screen">The page holds the dataset, '
        f"{held.nbytes / 1e6:.2f} MB of numbers, exactly as computed.{absent} "
        '<button type="button" id="csv">Save as CSV</button> '
        '<button type="button" id="json">Save as JSON</button> '
        '<span id="downloaded" role="status"></span></p>'
        "<noscript><p>Without scripts the page shows pictures and tables only; the data stand in "
        "its source as JSON.</p></noscript>"
    )
    yield f'<div class="text">{configuration_table(dataset).html}{version_table().html}</div>'
