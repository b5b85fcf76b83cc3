"""The command line: one group, and a module in `commands` for every command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from . import __version__

# The commands import the packages that do the work when they run: `--help` is instant, and
# `derive` never loads torch.
from .commands.basins import basins
from .commands.derive import derive
from .commands.explain import explain
from .commands.models import minimize, train
from .commands.phase_diagram import phase_diagram
from .commands.report import report
from .commands.reproduce import reproduce
from .commands.sweep import sweep
from .commands.test import test
from .commands.verify import verify

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Exact loss landscapes of toy models of superposition.

    Density s is P(x_i ≠ 0); importances are (1, …, 1, r); losses are sums over features.
    """


for _command in (
    derive, minimize, basins, train, phase_diagram, sweep, explain, report, test, reproduce, verify,
):  # fmt: skip
    cli.add_command(_command)


def _refuse(message: str) -> NoReturn:
    click.echo("superposition: " + " ".join(message.split()), err=True)
    raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: exit code 0 on success, 1 on a failed check, 2 on bad use.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments after the program's name; those of the process by default.
    """
    for stream in (sys.stdout, sys.stderr):  # Greek letters whatever the locale says
        with suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        cli.main(args=arguments, prog_name="superposition", standalone_mode=False)
    except click.Abort:
        _interrupted()
    except KeyboardInterrupt:
        _interrupted()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        raise SystemExit(2) from None
    except click.ClickException as error:
        _refuse(error.format_message())
    except ValueError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))


def _interrupted() -> NoReturn:
    click.echo(
        "superposition: interrupted; what was kept in a folder or a checkpoint is not lost: give the "
        "same command again",
        err=True,
    )
    raise SystemExit(130)
