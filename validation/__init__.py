"""Theory against exact optimum against trained models: datasets, agreement, figures."""

from .checks.check import Check
from .checks.verification import verify
from .comparison.agreement import agreement, phases_of, summarize
from .comparison.attribution import attribution, load_maps, readings_table
from .comparison.attribution_figure import plot_attribution
from .comparison.plots import draw_boundaries, plot_phase_diagram
from .comparison.shares import Rung, ladder, picture, shares
from .exact.diagram import SpotCheck, exact_phase_diagram, spot_check
from .phases import classify, flip_columns, phase_names
from .readings import CLASSES, READINGS, judge
from .sweeps.axes import SweepConfiguration
from .sweeps.configuration import PhaseDiagramConfiguration
from .sweeps.dataset import select_diagram
from .sweeps.run import phase_diagram, sweep
from .sweeps.storage import OtherConfigurationError, SweepStatus, load_dataset, sweep_status

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
