"""`spectest calibrate`: correct selectors and known bugs on this machine, so that its verdicts can be trusted."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spectest.errors import UsageError

if TYPE_CHECKING:
    from spectest.calibration import Calibration, Request
    from spectest.report import JsonFile

_PIPED_WIDTH: Final = 140  # columns of the tables where no terminal says how many there are


def calibrate(
    *,
    tier: Annotated[str, typer.Option(help="quick, standard or deep")] = "quick",
    device: Annotated[str, typer.Option(help="torch device of the selectors")] = "cpu",
    seed: Annotated[int, typer.Option(help="first seed of each selector")] = 0,
    seeds: Annotated[int, typer.Option(help="runs of each selector")] = 1,
    bugs: Annotated[str | None, typer.Option(help="N bugs, of every kind in turn, or all; 40 by default")] = None,
    budget: Annotated[float | None, typer.Option(help="seconds it may take")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every run as JSON.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the last line alone.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print every control and every bug.")] = False,
) -> int:
    """Run correct selectors, none of which may fail, and known bugs, which must: about two minutes on two cores.

    Exit codes: 0 as it should be, 1 a control failed or a bug was missed that is not known to escape, 2 it could not be
    run as asked for, 3 the budget ended it before that was known.
    """
    from spectest.calibration import Request, parse_bugs  # noqa: PLC0415 (`spectest --help` needs no torch)
    from spectest.report import JsonFile  # noqa: PLC0415 (as above)

    request = Request(tier=tier, device=device, seed=seed, seeds=seeds, bugs=parse_bugs(bugs), budget=budget)
    with nullcontext() if json is None else JsonFile(json) as file:
        return _calibrated(request, file, quiet=quiet, verbose=verbose)


def _calibrated(request: Request, file: JsonFile | None, *, quiet: bool, verbose: bool) -> int:
    from rich.console import Console  # noqa: PLC0415 (`spectest --version` needs no rich)

    from spectest.calibration import print_calibration  # noqa: PLC0415 (as above)

    result = _result(request, quiet=quiet)
    error: UsageError | None = None
    if file is not None:
        try:
            file.write(result)
        except UsageError as caught:  # what was found is said all the same
            error = caught
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    print_calibration(result, console, quiet=quiet, verbose=verbose)
    if error is not None:
        if result.exit_code == 0:
            raise error
        typer.echo(f"spectest: {error}", err=True)
    return result.exit_code


def _result(request: Request, *, quiet: bool) -> Calibration:
    from rich.console import Console  # noqa: PLC0415 (`spectest --version` needs no rich)
    from rich.text import Text  # noqa: PLC0415 (as above)

    from spectest.calibration import calibrate as run  # noqa: PLC0415 (as above)

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return run(request)
    with console.status("starting", refresh_per_second=2) as status:
        return run(request, lambda trial, done, total: status.update(Text(f"{done} of {total}: {trial.name}")))
