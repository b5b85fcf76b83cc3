"""Feature graphs: what is drawn, and where."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from numpy.typing import NDArray

from superposition.theory import named_configuration
from superposition.validation.geometry.graphs import feature_graph, plot_feature_graphs
from superposition.validation.geometry.identify import identify_geometry

SUM = "pentagon + digon + digon + square antiprism + basis 1 of 3"


def weights(name: str) -> NDArray[np.float64]:
    W = named_configuration(name).W_array()
    generator = np.random.default_rng(0)
    turn = np.linalg.qr(generator.standard_normal((len(W), len(W))))[0]
    return np.asarray((turn @ W)[:, generator.permutation(W.shape[1])])


def test_edges_weigh_what_the_gram_matrix_says() -> None:
    W = weights(SUM)
    for graph in feature_graph(W):
        for (i, j), weight in zip(graph.edges, graph.weights, strict=True):
            a, b = graph.features[i], graph.features[j]
            assert weight == pytest.approx(W[:, a] @ W[:, b], abs=1e-14)


def test_weak_couplings_are_no_edges() -> None:
    W = weights("octahedron")
    (graph,) = feature_graph(W, identify_geometry(W, tolerance=1e-300))
    assert len(graph.features) == 6
    assert len(graph.edges) == 3
    assert (graph.weights < 0).all()


def test_nodes_never_coincide() -> None:
    for graph in feature_graph(weights(SUM)):
        gaps = np.linalg.norm(graph.positions[:, None] - graph.positions, axis=-1)
        assert gaps[np.triu_indices(len(gaps), 1)].min(initial=1) > 0.5
        assert np.linalg.norm(graph.positions, axis=1).max() <= 1 + 1e-12


def test_polygons_are_drawn_as_they_are() -> None:
    """Neighbors on the circle are neighbors in the plane of the features: their cosine is 0.309."""
    W = weights("pentagon")
    (graph,) = feature_graph(W)
    around = np.argsort(np.arctan2(*graph.positions.T))
    for a, b in pairwise([*around, around[0]]):
        cosine = W[:, graph.features[a]] @ W[:, graph.features[b]]
        assert cosine == pytest.approx(np.cos(2 * np.pi / 5))


def test_panels_are_names_with_counts() -> None:
    figure = plot_feature_graphs(weights(SUM))
    titles = [ax.get_title().splitlines()[0] for ax in figure.axes]
    assert titles[0] == "2 × digon"
    assert sorted(titles[1:]) == ["dedicated", "pentagon", "square antiprism"]
    assert figure.get_suptitle() == identify_geometry(weights(SUM)).name


def test_of_many_copies_nine_are_drawn() -> None:
    (ax,) = plot_feature_graphs(np.kron(np.eye(12), [[1.0, -1.0]])).axes
    assert ax.get_title().startswith("12 × digon, 9 drawn\n")
    assert sum(np.shape(nodes.get_offsets())[0] for nodes in ax.collections[1::2]) == 18


@pytest.mark.parametrize(
    "W", [np.zeros((2, 3)), np.eye(2), np.random.default_rng(0).standard_normal((3, 20))]
)
def test_any_model_can_be_drawn(W: NDArray[np.float64]) -> None:
    file = io.BytesIO()
    plot_feature_graphs(W).savefig(file)
    assert file.tell() > 1000


def test_geometry_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"geometry is of a W of shape \(1, 2\).*leave out"):
        feature_graph(np.eye(3), identify_geometry([[1, -1]]))


def test_opposed_features_are_joined_in_blue_and_aligned_ones_in_orange() -> None:
    figure = plot_feature_graphs([[1.0, -1.0, 0.9]])
    (graph,) = feature_graph([[1.0, -1.0, 0.9]])
    lines = figure.axes[0].collections[0]
    blue, orange = to_rgba("#0072B2"), to_rgba("#D55E00")
    colors = [tuple(color) for color in np.asarray(lines.get_edgecolor()).tolist()]
    assert colors == [blue if weight < 0 else orange for weight in graph.weights]
    assert {text.get_text()[:7] for text in figure.legends[0].get_texts()} == {"opposed", "aligned"}


def test_lines_are_as_wide_as_couplings_and_nodes_as_large_as_squared_lengths() -> None:
    W = np.array([[1.0, -1.0, 0.5]])
    (graph,) = feature_graph(W)
    lines, nodes = plot_feature_graphs(W).axes[0].collections
    assert isinstance(nodes, PathCollection)
    np.testing.assert_allclose(nodes.get_sizes() / nodes.get_sizes()[0], W[0] ** 2)
    widths = np.asarray(lines.get_linewidth())
    np.testing.assert_allclose(widths / widths.max(), abs(graph.weights) / abs(graph.weights).max())
