"""`spectest replay`: one failed case of an earlier run again, with the same seeds, in a fresh process."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def replay(
    identity: Annotated[str, typer.Argument(metavar="ID", help="as a failure's `Reproduce:` line names it")],
    *,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the selector's traceback.")] = False,
) -> int:
    """Run a failed case again. Exit codes: 0 fixed, 1 still failing, 2 unknown, 3 inconclusive."""
    from spectest.report import failure  # noqa: PLC0415 (`spectest --help` needs no scipy)
    from spectest.runner.replay import load  # noqa: PLC0415 (as above)
    from spectest.runner.replay import replay as run_again  # noqa: PLC0415 (as above)
    from spectest.runner.report import EXIT_CODES  # noqa: PLC0415 (as above)

    record = load(identity)
    sys.path.extend(entry for entry in record.path if entry not in sys.path)
    name = f"{record.address} {record.check}[{record.case}]"
    result = run_again(record)
    if result is None:
        typer.echo(f"{name} no longer says anything about this selector: it declares otherwise now")
        return 0
    if result.verdict == "pass":
        typer.echo(f"{name} passes: it is fixed, or stateful (it fails only after other calls)")
    elif result.verdict == "inconclusive":
        typer.echo(f"{name} is inconclusive: {result.detail}")
    else:
        typer.echo(f"{name} still fails")
        typer.echo(failure(result, f"spectest replay {identity}", verbose=verbose))
    return EXIT_CODES[result.verdict]
