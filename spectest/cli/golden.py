"""`spectest golden`: the committed tables of exact acceptances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build, check or show the golden acceptance tables.", rich_markup_mode="rich")

_Directory = Annotated[Path, typer.Option("--dir", help="where the tables are")]
_GOLDEN = Path("golden")


@app.command()
def build(directory: _Directory = _GOLDEN) -> int:
    """Compute the tables in exact fractions and write them."""
    from spectest import golden  # noqa: PLC0415 (`spectest --help` needs no scipy)

    table = golden.build(directory)
    typer.echo(f"{directory}: {len(table.rows)} values written")
    return 0


@app.command()
def check(directory: _Directory = _GOLDEN) -> int:
    """Compare the tables with what the library computes. Exit codes: 0 as they should be, 1 not, 2 unreadable."""
    from spectest import golden  # noqa: PLC0415 (as above)

    wrong = golden.check(directory)
    for line in wrong:
        typer.echo(line, err=True)
    typer.echo(f"{directory}: {'as it should be' if not wrong else f'{len(wrong)} wrong'}")
    return 1 if wrong else 0


@app.command()
def show(
    directory: _Directory = _GOLDEN,
    problem: Annotated[str | None, typer.Option(help="only this problem")] = None,
    drafting: Annotated[str | None, typer.Option(help="only this drafting law")] = None,
    quantity: Annotated[str | None, typer.Option(help="only this quantity: optimum, or a scheme")] = None,
) -> int:
    """Print the tables."""
    from spectest import golden  # noqa: PLC0415 (as above)

    typer.echo(golden.show(directory, problem=problem, drafting=drafting, quantity=quantity))
    return 0
