"""A calibration on a terminal."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from spectest import zoo
from spectest.calibration.result import reason

if TYPE_CHECKING:
    from rich.console import Console

    from spectest.calibration.result import Calibration, Tried


def print_calibration(result: Calibration, console: Console, *, quiet: bool = False, verbose: bool = False) -> None:
    """Print what was found: controls, bugs by kind, what was missed and why, δ, the verdict last.

    Args:
        result: of the calibration.
        console: where to.
        quiet: the last line alone.
        verbose: every control and every bug.
    """
    if not quiet:
        if result.controls:
            console.print(_controls(result) if verbose else _summary(result))
        if result.bugs:
            console.print(_bugs(result) if verbose else _kinds(result))
        if result.deltas:
            console.print(_deltas(result))
        for line in _remarks(result):
            console.print(Text(line), soft_wrap=True)
    style = "green" if result.exit_code == 0 else "yellow" if result.exit_code > 1 else "bold red"
    console.print(Text(_last(result), style=style), soft_wrap=True)


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _summary(result: Calibration) -> Table:
    table = _table("controls", "runs", "false alarms", "samples in all", "seconds each")
    runs = [trial for tried in result.controls for trial in tried.trials]
    alarms = sum(trial.caught for trial in runs)
    seconds = f"{median(trial.seconds for trial in runs):.1f}"
    table.add_row(str(len(result.controls)), str(len(runs)), str(alarms), f"{sum(t.samples for t in runs):,}", seconds)
    return table


def _controls(result: Calibration) -> Table:
    table = _table("control", "runs", "false alarms", "samples", "seconds")
    for tried in result.controls:
        table.add_row(*_row(tried))
    return table


def _bugs(result: Calibration) -> Table:
    table = _table("bug", "runs", "caught", "samples", "seconds", "family", "first seen by")
    for tried in result.bugs:
        seen = [trial.first for trial in tried.trials if trial.caught]
        table.add_row(*_row(tried), zoo.BUGS[tried.name].family, Text(seen[0] if seen else "–"))
    return table


def _row(tried: Tried) -> tuple[str, ...]:
    counts = str(len(tried.trials)), str(tried.caught), f"{tried.samples:,}"
    return (tried.name, *counts, f"{tried.seconds:.2f}")


def _kinds(result: Calibration) -> Table:
    table = _table("bugs", "runs", "caught", "median seconds", "slowest", "")
    kinds: dict[str, list[Tried]] = {}
    for tried in result.bugs:
        kinds.setdefault(zoo.BUGS[tried.name].kind, []).append(tried)
    for kind, some in kinds.items():
        runs = [trial for tried in some for trial in tried.trials]
        slowest = max(some, key=lambda tried: tried.seconds)
        caught = str(sum(trial.caught for trial in runs))
        middle = f"{median(trial.seconds for trial in runs):.2f}"
        table.add_row(f"{kind} ({len(some)})", str(len(runs)), caught, middle, f"{slowest.seconds:.2f}", slowest.name)
    return table


def _deltas(result: Calibration) -> Table:
    table = _table("check", "δ from", "to")
    for check, (least, largest) in result.deltas.items():
        table.add_row(check, f"{least:.2g}", f"{largest:.2g}")
    return table


def _remarks(result: Calibration) -> list[str]:
    """Return a line for each false alarm, each bug missed, and each caught although it was known to escape."""
    lines = [
        f"false alarm: {tried.name}, seed {trial.seed}, {trial.first}: {trial.detail}"
        for tried in result.false_alarms
        for trial in tried.trials
        if trial.caught
    ]
    for tried in result.missed:
        why = "it is not known to escape" if tried in result.surprises else reason(tried.name)
        lines.append(f"missed: {tried.name} ({tried.caught} of {len(tried.trials)} runs caught it): {why}")
    lines += [
        f"caught, though known to escape at this tier: {tried.name}"
        for tried in result.bugs
        if tried.caught and zoo.BUGS[tried.name].escapes(result.request.tier)
    ]
    return [*lines, ""] if lines else []


def _last(result: Calibration) -> str:
    request = result.request
    controls, bugs = len(result.controls), len(result.bugs)
    known = len(result.missed) - len(result.surprises)
    said = [
        f"{len(result.false_alarms)} of {controls} controls failed",
        f"{bugs - len(result.missed)} of {bugs} bugs caught",
    ]
    if result.missed:
        said.append(
            f"{known} known to escape" if not result.surprises else f"{len(result.surprises)} missed unexpectedly"
        )
    if not result.complete:
        said.append(f"ended after {len(result.trials)} of {result.planned} runs")
    return f"{', '.join(said)} (tier {request.tier}, {request.device}, seed {request.seed}, {result.seconds:.0f} s)"
