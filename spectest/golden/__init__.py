"""Golden acceptance tables: exact values of named problems, committed, and held against what the library computes.

Values are computed in fractions; `check` compares them with the float64 routes a user gets. No value is ever sampled.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spectest.errors import UsageError
from spectest.golden import exact
from spectest.golden.checking import find_problems
from spectest.golden.problems import cases
from spectest.golden.table import COLUMNS, CSV, Row, Table, read, write

if TYPE_CHECKING:
    from spectest.golden.table import Key
    from spectest.problem import Problem

__all__ = ["Row", "Table", "build", "check", "load", "show"]


def build(directory: str | Path = "golden") -> Table:
    """Compute the table in exact fractions and write it: the same bytes on every machine.

    Args:
        directory: where to write `acceptance.csv` and `acceptance.json`; made if it does not exist.

    Raises:
        UsageError: the directory cannot be written.
    """
    table, _ = _computed()
    write(table, Path(directory))
    return table


def check(directory: str | Path = "golden") -> list[str]:
    """Return what is wrong with the table in `directory`, one line each; empty when nothing is.

    Found are a changed character, even one below every tolerance, lines that are missing or too many, a header that
    does not fit, and a value the library no longer computes.

    Args:
        directory: holds `acceptance.csv` and `acceptance.json`.

    Raises:
        UsageError: a file is missing or cannot be read.
    """
    table, problems = _computed()
    return find_problems(Path(directory), table, problems)


def load(directory: str | Path = "golden") -> Table:
    """Return the table in `directory` as it stands there; `check` tells whether it is right.

    Args:
        directory: holds `acceptance.csv`.

    Raises:
        UsageError: the file is missing, or a line of it cannot be read; the message says which.
    """
    path = Path(directory) / CSV
    first, *lines = read(Path(directory), CSV).removesuffix("\n").split("\n")
    if first != ",".join(COLUMNS):
        msg = f"{path} line 1: columns are {first or 'none'}, expected {','.join(COLUMNS)}"
        raise UsageError(msg)
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            rows.append(Row.parse(line))
        except ValueError as error:
            msg = f"{path} line {number} {error}"
            raise UsageError(msg) from error
    return Table(tuple(rows))


def show(
    directory: str | Path = "golden",
    *,
    problem: str | None = None,
    drafting: str | None = None,
    quantity: str | None = None,
) -> str:
    """Return the rows asked for as aligned text, one per line under a line of titles.

    Args:
        directory: holds `acceptance.csv`.
        problem: only this problem.
        drafting: only this drafting law.
        quantity: only this quantity, `optimum` or a scheme.

    Raises:
        UsageError: the file cannot be read, or no row is like that.
    """
    table = load(directory)
    rows = table.select(problem=problem, drafting=drafting, quantity=quantity).rows
    if not rows:
        known = ", ".join(dict.fromkeys(row.problem for row in table.rows))
        msg = (
            f"no golden value has `problem` {problem}, `drafting` {drafting}, `quantity` {quantity}; problems: {known}"
        )
        raise UsageError(msg)
    lines = [COLUMNS[:-1], *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _computed() -> tuple[Table, dict[Key, Problem]]:
    """Compute the table in fractions, and the float64 problem of each row."""
    rows, problems = [], {}
    for case in cases():
        for quantity, fraction in exact.quantities(case):
            vocab, n = len(case.target), len(case.drafts)
            row = Row(case.name, vocab, n, case.drafting, quantity, float(fraction), fraction)
            rows.append(row)
            problems[row.key] = case.problem
    return Table(tuple(rows)), problems
