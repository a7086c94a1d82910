"""What was measured, on a terminal or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from spectest.throughput.result import place_of

if TYPE_CHECKING:
    from rich.console import Console

    from spectest.throughput.result import Cell, Measurement, Throughput

_UNITS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_WIDE: Final = 110  # columns
_IF_WIDE: Final = ("quartiles", "argmax")
_STYLES: Final = {"failed": "bold red", "refused": "yellow"}


def print_throughput(result: Throughput, console: Console, *, quiet: bool = False, verbose: bool = False) -> None:
    """Print a result: the table, what was not measured and why, one line in sum.

    Args:
        result: of the measurement.
        console: where to.
        quiet: the last line alone, with one line per fault.
        verbose: the selector's tracebacks as well.
    """
    lines = [line for line in _reasons(result, verbose=verbose) if not quiet or line.startswith("failed")]
    if not quiet:
        console.print(_table(result, wide=console.width >= _WIDE))
        _line(console, _conditions(result))
        lines += [f"note: {note}" for note in result.notes]
    for line in lines:
        _line(console, line)
    _line(console, Text(_sum(result), style={0: "green", 1: "bold red", 3: "yellow"}[result.exit_code]))


def _line(console: Console, text: str | Text) -> None:
    """Print text as it is: never cut or folded, nothing in it taken for markup."""
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)


def durations(first: float, *others: float) -> str:
    """Return durations in the unit of the first, in three digits.

    Example:
        >>> durations(0.00123), durations(12.34), durations(1.3e-4, 9e-5, 2e-3)
        ('1.23 ms', '12.3 s', '130 – 90.0 – 2,000 µs')
    """
    scale, unit = next((item for item in _UNITS if first >= item[0]), _UNITS[-1])
    values = [seconds / scale for seconds in (first, *others)]
    written = [f"{x:,.{max(0, 2 - (x >= 10) - (x >= 100))}f}" for x in values]  # noqa: PLR2004 (digits)
    return f"{' – '.join(written)} {unit}"


def _table(result: Throughput, *, wide: bool) -> Table:
    """Return the table; a narrow one goes without quartiles, and without argmax's own time."""
    shown = [item for item in result.measurements if item.status != "skipped"]
    one_device = len({item.cell.device for item in shown}) < 2  # noqa: PLR2004 (then it is said below the table)
    one_law = len({item.subject.declaration.drafting for item in shown}) < 2  # noqa: PLR2004 (likewise)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("V", "n", "B", "rows") if one_device else ("device", "V", "n", "B", "rows"):
        table.add_column(title, no_wrap=True, justify="right" if len(title) == 1 else "left")
    table.add_column("selector", overflow="fold")
    for title in ("time per call", "quartiles", "tokens/s", "argmax", "× argmax"):
        if wide or title not in _IF_WIDE:
            table.add_column(title, justify="right", no_wrap=True)
    above: Cell | None = None
    for item in sorted(shown, key=lambda item: place_of(item.cell)):
        cell = item.cell
        place = (cell.device, f"{cell.V:,}", str(cell.n), str(cell.B), cell.layout)[one_device:]
        figures = [figure for title, figure in _figures(item).items() if wide or title not in _IF_WIDE]
        name = Text(item.subject.name if one_law else item.subject.title)
        table.add_row(*(("",) * len(place) if cell == above else place), name, *figures)
        above = cell
    return table


def _figures(item: Measurement) -> dict[str, str | Text]:
    if item.status != "measured":
        nothing = dict.fromkeys(("quartiles", "tokens/s", "argmax", "× argmax"), "–")
        return {"time per call": Text(item.status, style=_STYLES[item.status]), **nothing}
    low, median, high = item.quartiles
    return {
        "time per call": durations(median),
        "quartiles": durations(low, high),
        "tokens/s": f"{item.tokens_per_second:,.0f}",
        "argmax": durations(item.argmax),
        "× argmax": f"{item.ratio:,.1f}",
    }


def _conditions(result: Throughput) -> str:
    """Return under what conditions the figures were measured."""
    environment = result.environment
    declared = [item.subject.declaration for item in result.measurements]
    laws = ", ".join(dict.fromkeys(item.drafting for item in declared))
    dtypes = ", ".join(dict.fromkeys(item.dtype for item in declared))
    devices = "; ".join(environment["devices"].values())
    threads = f"{environment['threads']} thread{'s' if environment['threads'] > 1 else ''}"
    return (
        f"drafting {laws or '–'}, {dtypes or '–'}, {threads}; {devices}; torch {environment['torch']}, "
        f"numpy {environment['numpy']}, Python {environment['python']}"
    )


def _reasons(result: Throughput, *, verbose: bool) -> list[str]:
    """Return why cells have no figure: a line per selector and reason, with the cells it holds for."""
    groups: dict[tuple[str, str, str], list[Measurement]] = {}
    for item in result.measurements:
        if item.status != "measured":
            groups.setdefault((item.status, item.subject.name, item.detail), []).append(item)
    lines = []
    for (status, name, detail), items in groups.items():
        more = f" and {len(items) - 1} more" if len(items) > 1 else ""
        lines.append(f"{status}: {name} at {items[0].cell}{more}: {detail}")
        if verbose and items[0].traceback:
            lines.append(items[0].traceback.rstrip())
    return lines


def _sum(result: Throughput) -> str:
    """Return the last line: the largest cell of the selector, or how many cells the schemes have."""
    judged = result.judged
    measured = [item for item in judged if item.status == "measured"]
    took = f"{len(measured)} of {len(judged)} cells measured in {result.seconds:.1f} s"
    if result.interrupted:
        took += ", interrupted"
    if result.selector is None:
        return f"{len({item.subject.name for item in measured})} schemes: {took}"
    if not measured:
        return f"{result.selector}: {took}"
    largest = max(measured, key=lambda item: (item.cell.V, item.cell.B, not item.cell.shared))
    return (
        f"{result.selector}: {largest.tokens_per_second:,.0f} tokens/s at {largest.cell}, "
        f"{largest.ratio:,.1f} × argmax; {took}"
    )
