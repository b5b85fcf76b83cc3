"""How the pages show what the library returns: formulas, tables, figures, commands."""

from __future__ import annotations

import io
import shlex
import textwrap
import warnings
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import sympy
from IPython.display import SVG, Markdown, display
from matplotlib.figure import Figure

from superposition.cli import main
from superposition.theory import Derivation
from superposition.validation.reproduction import Reproduction, Verdict, load_reproduction

__all__ = [
    "claim_cell", "command", "equations", "figure", "formula", "message", "numbers", "reproduction", "steps",
    "stored_reproduction", "table", "verdict_cells",
]  # fmt: skip

warnings.filterwarnings("error", module=r"superposition|render|__main__")
mpl.rcParams["svg.hashsalt"] = "superposition"


def formula(expression: Any) -> str:
    """Return a SymPy expression as an inline formula."""
    return f"${sympy.latex(expression)}$"


def equations(*pairs: tuple[str, Any]) -> Markdown:
    """Show displayed equations; each is a left side in LaTeX and an expression."""
    rows = " \\\\\n".join(f"{left} &= {sympy.latex(right)}" for left, right in pairs)
    return Markdown(f"$$\n\\begin{{aligned}}\n{rows}\n\\end{{aligned}}\n$$")


def steps(derivation: Derivation) -> Markdown:
    """Show a derivation step by step."""
    return Markdown(derivation.latex().replace("\\[\n", "\n$$\n").replace("\n\\]", "\n$$\n"))


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markdown:
    """Show a table; cells are text, in which $...$ is a formula."""
    lines = [headers, ["---"] * len(headers), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


def numbers(values: Any, digits: int) -> str:
    """Return the entries of a vector with so many digits after the point."""
    rounded = np.round(values, digits) + 0.0  # no negative zeros
    return ", ".join(f"{value:.{digits}f}" for value in rounded).replace("-", "−")


def message(error: Exception) -> None:
    """Print the message of an error, wrapped to the width of a page."""
    print(textwrap.fill(f"{type(error).__name__}: {error}", 84))


def figure(drawing: Figure) -> SVG:
    """Show a figure as SVG, the same for equal figures."""
    text = io.StringIO()
    # Labels of a figure that lays itself out are inside; to look for those of others it is drawn
    # twice.
    box = None if drawing.get_layout_engine() else "tight"
    drawing.savefig(text, format="svg", bbox_inches=box, metadata={"Date": None})
    return SVG(text.getvalue())


def stored_reproduction(name: str) -> Reproduction:
    """Return what `superposition reproduce --out docs/data/reproduction` wrote."""
    return load_reproduction(Path(__file__).parent / "data" / "reproduction", name)


def claim_cell(verdict: Verdict) -> str:
    """Return what is claimed, by whom and where, as a cell of a table."""
    claim = verdict.claim
    return f"{claim.statement} ({claim.source}, {claim.place})"


def verdict_cells(verdict: Verdict) -> tuple[str, str]:
    """Return outcome and evidence of a verdict as cells of a table."""
    return (
        f"**{verdict.outcome}** {verdict.conditions}".rstrip(),
        f"`{verdict.claim.test}`: {verdict.evidence}",
    )


def reproduction(name: str) -> None:
    """Show a stored reproduction: figure, caption, verdicts."""
    done = stored_reproduction(name)
    scale = "" if done.scale == "full" else f" Smaller than the source's setting (--{done.scale})."
    display(figure(done.figure()))
    display(Markdown(f"{done.caption}{scale}"))
    rows = [
        (claim_cell(verdict), *verdict_cells(verdict), verdict.claim.judged)
        for verdict in done.verdicts
    ]
    display(table(["claim", "verdict", "test and evidence", "judged by"], rows))


def command(line: str, *, code: int = 0, lines: int | None = None) -> None:
    """Run a line of the command line and print it with what it prints.

    It runs in this process: a process of its own would load SymPy or torch anew for every line.

    Raises
    ------
    RuntimeError
        If its exit code is not `code`.
    """
    program, *arguments = shlex.split(line)
    if program != "superposition":
        raise ValueError(f"expected a superposition command, got {line!r}")
    shown, notes = _stream(), _stream()
    with redirect_stdout(shown), redirect_stderr(notes if code == 0 else shown):
        ended = _exit_code(arguments)
    if ended != code:
        raise RuntimeError(f"{line} ended with {ended}: {_text(shown)}{_text(notes)}")
    printed = _text(shown).splitlines()
    first = printed if lines is None else [*printed[:lines], f"... ({len(printed) - lines} lines)"]
    print("\n".join([f"$ {line}", *first]))


def _stream() -> io.TextIOWrapper:
    """Return a stream of bytes below text, which is what a process writes to."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    return stream.buffer.getvalue().decode()


def _exit_code(arguments: Sequence[str]) -> int:
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0
