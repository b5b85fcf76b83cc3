"""One self-contained page about a phase diagram: figures, tables, formulas, data."""

from .files import ForeignFileError, write_report
from .landscape import landscape
from .page import report_html
from .tables import Fragment, agreement_tables, closed_forms, gap_table

__all__ = [
    "ForeignFileError",
    "Fragment",
    "agreement_tables",
    "closed_forms",
    "gap_table",
    "landscape",
    "report_html",
    "write_report",
]
