"""The summary of a run on a terminal, or in a file where it is sent to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from spectest.report.words import SPOKEN, case_name, failure, first_line, verdict_line

if TYPE_CHECKING:
    from rich.console import Console

    from spectest.checks.result import AcceptanceResult, CaseResult
    from spectest.runner.report import CheckResult, Report

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
    for check in report.checks:
        for text in _troubles(report, check, verbose=verbose):
            _line(console, text)
    _line(console, last)


def _line(console: Console, text: str | Text) -> None:
    """Print text as it is: never cut or folded, nothing in it taken for markup."""
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)


def _troubles(report: Report, check: CheckResult, *, verbose: bool) -> list[str]:
    """Return what is wrong with a check: the case that decided in full, the others a line each unless `verbose`."""
    wrong = [case for case in check.cases if case.verdict != "pass"]
    whole = [case for case in wrong if verbose or case is check.decisive]
    brief = [case for case in wrong if case not in whole]
    lines = [_explained(report, case, verbose=verbose) + "\n" for case in whole]
    for case in brief:
        again = "" if case.replay is None else f"  (spectest replay {case.replay})"
        lines.append(f"  also {case_name(case)} {SPOKEN[case.verdict]}: {first_line(case.detail)}{again}")
    return [*lines, ""] if brief else lines


def _explained(report: Report, case: CaseResult, *, verbose: bool) -> str:
    if case.verdict == "inconclusive":
        return f"{case_name(case)} {SPOKEN[case.verdict]}: {case.detail}"
    seed = report.environment.get("seed", 0)
    again = f"spectest verify {report.selector} --checks {case.check} --seed {seed}, with the other options of this run"
    return failure(case, again, verbose=verbose)


def _checks(report: Report, *, verbose: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("check", "verdict"):
        table.add_column(title, no_wrap=True)
    for title in ("cases", "samples", "δ", "p-value"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("detail", overflow="fold")
    for check in report.checks:
        table.add_row(*_check_row(check))
        if verbose:
            for case in check.cases:
                table.add_row(*_case_row(case))
    return table


def _check_row(check: CheckResult) -> tuple[str | Text, ...]:
    return (
        check.name,
        Text(SPOKEN[check.verdict], style=_STYLES[check.verdict]),
        str(len(check.cases)),
        f"{check.samples:,}",
        _number(check.delta),
        _number(check.p_value),
        Text(first_line(check.detail)),
    )


def _case_row(case: CaseResult) -> tuple[str | Text, ...]:
    return (
        Text(f"  [{case.case}]"),
        Text(SPOKEN[case.verdict], style=_STYLES[case.verdict]),
        f"{case.seconds:.1f} s",
        f"{case.samples:,}",
        _number(case.delta),
        _number(case.p_value),
        Text(first_line(case.detail)),
    )


def _acceptance(problems: tuple[AcceptanceResult, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("acceptance", no_wrap=True)
    for title in ("V", "n", "samples", "measured", "99.9 % interval", "optimum", "scheme", "of optimum"):
        table.add_column(title, justify="right", no_wrap=True)
    for problem in problems:
        share = "–" if not problem.optimum else f"{problem.measured / problem.optimum:.2%}"
        table.add_row(
            Text(problem.problem),
            str(problem.V),
            str(problem.n),
            f"{problem.samples:,}",
            f"{problem.measured:.4f}",
            f"{problem.low:.4f} – {problem.high:.4f}",
            _probability(problem.optimum),
            _probability(problem.scheme),
            share,
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
