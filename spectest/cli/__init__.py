"""The command line, one file per command. Exit codes: 0 conforms, 1 fails, 2 could not be called, 3 inconclusive."""

from __future__ import annotations

import io
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Final

import typer

import spectest
from spectest.cli.bench import bench
from spectest.cli.calibrate import calibrate
from spectest.cli.golden import app as golden
from spectest.cli.optimum import optimum
from spectest.cli.replay import replay
from spectest.cli.verify import verify
from spectest.errors import SpectestError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Exit code of a request that cannot be carried out as given.
UNUSABLE: Final = 2
_INTERRUPTED: Final = 130  # 128 + SIGINT, where no verdict was due

# Click's base of all complaints about a command line, under whichever name typer carries it.
_BAD_COMMAND_LINE: Final[type[Exception]] = typer.BadParameter.__mro__[2]

app = typer.Typer(name="spectest", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
app.command()(verify)
app.command()(optimum)
app.command()(bench)
app.command()(calibrate)
app.command()(replay)
app.add_typer(golden, name="golden")


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"spectest {spectest.__version__}")
        raise typer.Exit


@app.callback()
def _spectest(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Is your speculative-sampling code lossless, and how far is its acceptance from the best possible?"""
    del version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code. What cannot be called at all is said in one line on stderr.

    Args:
        arguments: in place of `sys.argv[1:]`.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no δ gets its code point
    command = typer.main.get_command(app)
    try:
        return int(command.main(given, prog_name="spectest", standalone_mode=False) or 0)
    except (SpectestError, _BAD_COMMAND_LINE) as error:
        return _refuse(error, verbose="--verbose" in given)
    except (typer.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 (exit code 1 would say that a check failed)
        text = f"internal error, please report it: {type(error).__name__}: {error}"
        error.add_note("".join(traceback.format_exception(error)))
        return _refuse(error, text, verbose="--verbose" in given)


def _refuse(error: Exception, text: str = "", *, verbose: bool) -> int:
    said = text or getattr(error, "format_message", error.__str__)()
    typer.echo(f"spectest: {' '.join(said.split())}", err=True)
    if verbose:
        for note in getattr(error, "__notes__", []):
            typer.echo(note.rstrip(), err=True)
    return UNUSABLE
