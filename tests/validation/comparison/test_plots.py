"""The phase diagram's picture: what is drawn at a point is what the dataset holds there."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from superposition.theory import boundaries, candidates
from superposition.validation import (
    draw_boundaries,
    phase_diagram,
    phase_names,
    plot_phase_diagram,
)
from superposition.validation.comparison.plots import phase_colors


@pytest.fixture(scope="module")
def dataset() -> xr.Dataset:
    return phase_diagram(
        density=np.geomspace(0.01, 1, 5),
        importance=np.geomspace(0.1, 10, 4),
        replicas=1,
        starts=16,
    )


def mesh_of(figure: Figure, panel: int) -> QuadMesh:
    (mesh,) = (c for c in figure.axes[panel].collections if isinstance(c, QuadMesh))
    return mesh


@pytest.mark.parametrize(
    ("panel", "name"),
    list(enumerate(["theory_phase", "optimum_phase", "best_trained_phase", "stuck_fraction"])),
)
def test_cell_around_a_grid_point_shows_its_value(
    dataset: xr.Dataset, panel: int, name: str
) -> None:
    mesh = mesh_of(plot_phase_diagram(dataset), panel)
    corners = np.asarray(mesh.get_coordinates())
    shown = np.asarray(mesh.get_array()).reshape(dataset[name].shape)
    for i, s in enumerate(dataset["density"].values):
        for j, r in enumerate(dataset["importance"].values):
            left, low = corners[i, j]
            right, high = corners[i + 1, j + 1]
            assert left < r < right
            assert low < s < high
            assert shown[i, j] == float(dataset[name].sel(density=s, importance=r))


def test_axes_say_what_they_show(dataset: xr.Dataset) -> None:
    figure = plot_phase_diagram(dataset)
    for ax in figure.axes[:4]:
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert "relative importance" in ax.get_xlabel()
        for (low, high), ends in ((ax.get_xlim(), (0.1, 10)), (ax.get_ylim(), (0.01, 1))):
            assert low < ends[0]  # increasing to the right and upwards
            assert high > ends[1]
    assert "density" in figure.axes[0].get_ylabel()


def test_even_grid_gets_even_axes() -> None:
    even = phase_diagram(density=[0.2, 0.4, 0.6], importance=[1.0, 2.0, 3.0], replicas=1, starts=8)
    ax = plot_phase_diagram(even).axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "linear")


def test_theory_lines_follow_the_closed_forms() -> None:
    ax = Figure().subplots()
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(0.1, 10)
    ax.set_ylim(0.01, 1)
    draw_boundaries(ax, boundaries(candidates(2, 1)))
    drawn = [np.asarray(line.get_data(), dtype=float) for line in ax.lines]
    points = np.concatenate(drawn, axis=1)
    x, y = points[:, np.isfinite(points).all(axis=0)]
    below = y < 4 / 7 - 1e-9
    left, right = below & (x < 1), below & (x > 1)
    assert left.any()
    assert right.any()
    np.testing.assert_allclose(x[left], 2 * y[left] / (4 - 5 * y[left]), rtol=1e-12)
    np.testing.assert_allclose(x[right], (4 - 5 * y[right]) / (2 * y[right]), rtol=1e-12)
    np.testing.assert_allclose(x[~below], 1.0, rtol=1e-12)  # above the triple point
    assert y.max() > 0.99


def test_there_is_a_color_for_every_phase() -> None:
    for n, m in [(2, 1), (3, 2), (5, 2), (6, 3)]:
        colors = phase_colors(len(phase_names(n, m)))
        assert len(set(colors)) == len(phase_names(n, m))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figure_can_be_saved(dataset: xr.Dataset, suffix: str) -> None:
    buffer = io.BytesIO()
    plot_phase_diagram(dataset).savefig(buffer, format=suffix)
    assert len(buffer.getvalue()) > 5000
