"""Theory against exact optimum against trained models: datasets, agreement, figures."""

from .agreement import agreement, phases_of, summarize
from .check import Check
from .checks import verify
from .configuration import PhaseDiagramConfiguration
from .exact_diagram import SpotCheck, exact_phase_diagram, spot_check
from .phases import classify, flip_columns, phase_names
from .plots import draw_boundaries, plot_phase_diagram
from .storage import OtherConfigurationError, load_dataset
from .sweep import phase_diagram

__all__ = [
    "Check",
    "OtherConfigurationError",
    "PhaseDiagramConfiguration",
    "SpotCheck",
    "agreement",
    "classify",
    "draw_boundaries",
    "exact_phase_diagram",
    "flip_columns",
    "load_dataset",
    "phase_diagram",
    "phase_names",
    "phases_of",
    "plot_phase_diagram",
    "spot_check",
    "summarize",
    "verify",
]
