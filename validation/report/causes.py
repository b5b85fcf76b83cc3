"""Why trained maps differ from the theory, as a section of a report."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from html import escape

import xarray as xr

from ..comparison.attribution_figure import CAUSES, plot_attribution
from ..comparison.shares import ladder, picture, share_of_points, shares
from .tables import html_table, percent

__all__ = ["causes_section"]


def causes_section(maps: xr.Dataset) -> Iterator[str]:
    """Yield the HTML of a section about maps of `attribution`.

    Examples
    --------
    >>> from superposition.validation import attribution
    >>> maps = attribution(
    ...     density=[0.1, 0.9], importance=[0.5, 2], protocol="roe2023,steps=100", replicas=2
    ... )
    >>> next(causes_section(maps))
    '<h2>Why trained maps differ from the theory</h2>'
    """
    settings = json.loads(maps.attrs["configuration"])
    kind = "ReLU" if settings["activation"] == "relu" else "linear"
    predicted = maps.optimum_thresholds.sel(inputs="co-active").values
    drawn = picture(maps)
    theory = maps.theory.sel(inputs="independent").values
    yield "<h2>Why trained maps differ from the theory</h2>"
    yield (
        f"<p>The picture of Roe’s replication, with {kind} models, agrees with the closed forms "
        f"at {percent(share_of_points(drawn, theory))} of "
        f"{drawn.size} points, and with the exact optimum of the data that its code draws at "
        f"{percent(share_of_points(drawn, predicted))}.</p>"
    )
    yield _figure(maps)
    yield html_table(
        "From the theory to the picture, one switch after the other",
        ("switched", "points that change", "agreement with the theory after it"),
        (
            (escape(rung.change), percent(rung.changed), percent(rung.agreement))
            for rung in ladder(maps)
        ),
    )
    yield html_table(
        "What the difference is due to: Shapley’s shares of all points",
        ("cause", "share"),
        ((escape(CAUSES[name]), f"{100 * share:+.2f} %") for name, share in shares(maps).items()),
    )


def _figure(maps: xr.Dataset) -> str:
    file = io.BytesIO()
    plot_attribution(maps).savefig(file, format="png", dpi=110, metadata={"Software": None})
    data = base64.b64encode(file.getvalue()).decode("ascii")
    meaning = (
        "Four panels: closed-form theory, picture of trained models, exact optimum of the "
        "co-active data, and the share of every cause. The tables below hold the numbers."
    )
    return f'<img style="max-width: 100%" alt="{meaning}" src="data:image/png;base64,{data}">'
