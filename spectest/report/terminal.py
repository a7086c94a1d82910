"""The summary of a run on a terminal, or in a file where it is sent to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from spectest.report.rows import ACCEPTANCE, CHECKS, acceptance_row, case_row, check_row
from spectest.report.words import case_name, elsewise, failure, first_line, spoken, verdict_line

if TYPE_CHECKING:
    from rich.console import Console

    from spectest.checks.result import AcceptanceResult, CaseResult, Verdict
    from spectest.runner.report import Report

_STYLES: Final = {"pass": "green", "fail": "bold red", "inconclusive": "yellow"}


def print_report(
    report: Report, console: Console, *, seconds: float, quiet: bool = False, verbose: bool = False
) -> None:
    """Print a report: checks, acceptance, failures in full, the verdict last.

    Args:
        report: of the run.
        console: where to.
        seconds: the run took.
        quiet: the verdict alone, with one line per failed check.
        verbose: every case, and the selector's tracebacks.
    """
    last = Text(verdict_line(report, seconds), style=_STYLES[report.verdict])
    if quiet:
        for check in report.checks:
            if check.verdict == "fail":
                _line(console, f"{case_name(check.decisive)}: {first_line(check.decisive.detail)}")
        _line(console, last)
        return
    if report.checks:
        console.print(_checks(report, verbose=verbose))
    if report.problems:
        console.print(_acceptance(report.problems))
    if "contract" in report.environment:  # an adapter says how it calls what it wraps
        _line(console, f"called as {report.environment['contract']}\n")
    for text in _troubles(report, verbose=verbose):
        _line(console, text)
    _line(console, last)


def _line(console: Console, text: str | Text) -> None:
    """Print text as it is: never cut or folded, nothing in it taken for markup."""
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)


def _troubles(report: Report, *, verbose: bool) -> list[str]:
    """Return what is wrong, failures first: of each check the case that decided in full, the others a line each.

    What several cases say in the same words is said once, unless `verbose`.
    """
    checks = sorted(report.checks, key=lambda check: check.verdict != "fail")
    wrong = [case for check in checks for case in (check.decisive, *check.cases) if case.verdict != "pass"]
    wrong = list({(case.check, case.case): case for case in wrong}.values())
    if verbose:
        return [_explained(report, case, verbose=True) + "\n" for case in wrong]
    decisive = {(check.name, check.decisive.case) for check in checks}
    alike: dict[tuple[str, str], list[CaseResult]] = {}
    for case in wrong:
        alike.setdefault((case.verdict, case.detail), []).append(case)
    lines: list[str] = []
    before = ""
    for first, *others in alike.values():
        if lines and lines[-1] and first.check != before:
            lines.append("")
        before, whole = first.check, (first.check, first.case) in decisive
        lines.append(_explained(report, first, verbose=False) if whole else _also(first))
        if others:
            among = ", ".join(dict.fromkeys(case.check for case in (first, *others)))
            lines.append(f"  {len(others)} other case{'s' if len(others) > 1 else ''} of {among} said the same")
        if whole:
            lines.append("")
    return [*lines, ""] if lines and lines[-1] else lines


def _also(case: CaseResult) -> str:
    again = "" if case.replay is None else f"  (spectest replay {case.replay})"
    return f"  also {case_name(case)} {spoken(case)}: {first_line(case.detail)}{again}"


def _explained(report: Report, case: CaseResult, *, verbose: bool) -> str:
    if case.verdict == "inconclusive":
        return f"{case_name(case)} {spoken(case)}: {case.detail}"
    return failure(case, elsewise(report, case), verbose=verbose)


def _checks(report: Report, *, verbose: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in CHECKS[:2]:
        table.add_column(title, no_wrap=True)
    for title in CHECKS[2:-1]:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(CHECKS[-1], overflow="fold")
    for check in report.checks:
        table.add_row(*_cells(check_row(check), check.verdict))
        if verbose:
            for case in check.cases:
                table.add_row(*_cells(case_row(case), case.verdict, indent="  "))
    return table


def _cells(row: tuple[str, ...], verdict: Verdict, indent: str = "") -> list[Text]:
    name, said, *others = row
    return [Text(indent + name), Text(said, style=_STYLES[verdict]), *map(Text, others)]


def _acceptance(problems: tuple[AcceptanceResult, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(ACCEPTANCE[0], no_wrap=True)
    for title in ACCEPTANCE[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    for problem in problems:
        table.add_row(*map(Text, acceptance_row(problem)))
    return table
