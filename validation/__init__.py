"""Theory against exact optimum against trained models: datasets, agreement, figures."""

from .checks.check import Check
from .checks.verification import verify
from .comparison.agreement import agreement, phases_of, summarize
from .comparison.attribution import attribution, load_maps, readings_table
from .comparison.attribution_figure import plot_attribution
from .comparison.plots import draw_boundaries, plot_phase_diagram
from .comparison.shares import Rung, ladder, picture, shares
from .exact.diagram import SpotCheck, exact_phase_diagram, spot_check
from .geometry.dimensionality import FRACTIONS, dimensionality_clusters, nearest_fraction
from .geometry.graphs import FeatureGraph, feature_graph, plot_feature_graphs
from .geometry.identify import Component, Geometry, identify_geometry, name_rate
from .phases import classify, flip_columns, phase_names
from .readings import CLASSES, READINGS, judge
from .sweeps.axes import SweepConfiguration
from .sweeps.configuration import PhaseDiagramConfiguration
from .sweeps.dataset import select_diagram
from .sweeps.run import phase_diagram, sweep
from .sweeps.storage import OtherConfigurationError, SweepStatus, load_dataset, sweep_status

__all__ = [
    "CLASSES",
    "FRACTIONS",
    "READINGS",
    "Check",
    "Component",
    "FeatureGraph",
    "Geometry",
    "OtherConfigurationError",
    "PhaseDiagramConfiguration",
    "Rung",
    "SpotCheck",
    "SweepConfiguration",
    "SweepStatus",
    "agreement",
    "attribution",
    "classify",
    "dimensionality_clusters",
    "draw_boundaries",
    "exact_phase_diagram",
    "feature_graph",
    "flip_columns",
    "identify_geometry",
    "judge",
    "ladder",
    "load_dataset",
    "load_maps",
    "name_rate",
    "nearest_fraction",
    "phase_diagram",
    "phase_names",
    "phases_of",
    "picture",
    "plot_attribution",
    "plot_feature_graphs",
    "plot_phase_diagram",
    "readings_table",
    "select_diagram",
    "shares",
    "spot_check",
    "summarize",
    "sweep",
    "sweep_status",
    "verify",
]
