"""Theory against exact optimum against trained models: datasets, agreement, figures."""

from .agreement import agreement, phases_of, summarize
from .attribution import Rung, attribution, ladder, load_maps, picture, readings_table, shares
from .attribution_figure import plot_attribution
from .check import Check
from .checks import verify
from .configuration import PhaseDiagramConfiguration
from .exact_diagram import SpotCheck, exact_phase_diagram, spot_check
from .phases import classify, flip_columns, phase_names
from .plots import draw_boundaries, plot_phase_diagram
from .readings import CLASSES, READINGS, judge
from .storage import OtherConfigurationError, SweepStatus, load_dataset, sweep_status
from .sweep import phase_diagram, sweep
from .sweep_axes import SweepConfiguration
from .sweep_dataset import select_diagram

__all__ = [
    "CLASSES",
    "READINGS",
    "Check",
    "OtherConfigurationError",
    "PhaseDiagramConfiguration",
    "Rung",
    "SpotCheck",
    "SweepConfiguration",
    "SweepStatus",
    "agreement",
    "attribution",
    "classify",
    "draw_boundaries",
    "exact_phase_diagram",
    "flip_columns",
    "judge",
    "ladder",
    "load_dataset",
    "load_maps",
    "phase_diagram",
    "phase_names",
    "phases_of",
    "picture",
    "plot_attribution",
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
