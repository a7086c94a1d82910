"""The tables of a report, cell by cell: the same on a terminal and on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spectest.report.words import first_line, spoken

if TYPE_CHECKING:
    from spectest.checks.result import AcceptanceResult, CaseResult
    from spectest.runner.report import CheckResult

#: Of `check_row`; the third to the sixth are numbers.
CHECKS: Final = ("check", "verdict", "cases", "samples", "δ", "p-value", "detail")
#: Of `case_row`, where cases have a table of their own.
CASES: Final = ("case", "verdict", "time", "samples", "δ", "p-value", "detail")
#: Of `acceptance_row`; all but the first are numbers.
ACCEPTANCE: Final = (
    "acceptance",
    "V",
    "n",
    "samples",
    "measured",
    "99.9 % interval",
    "optimum",
    "scheme",
    "of optimum",
)

_NONE: Final = "–"


def check_row(check: CheckResult) -> tuple[str, ...]:
    """Return a check's cells, under `CHECKS`."""
    return (
        check.name,
        spoken(check),
        str(len(check.cases)),
        f"{check.samples:,}",
        number(check.delta),
        number(check.p_value),
        first_line(check.detail),
    )


def case_row(case: CaseResult) -> tuple[str, ...]:
    """Return a case's cells, under `CASES` or `CHECKS`: its time stands where a check counts its cases."""
    return (
        f"[{case.case}]",
        spoken(case),
        f"{case.seconds:.1f} s",
        f"{case.samples:,}",
        number(case.delta),
        number(case.p_value),
        first_line(case.detail),
    )


def facts(case: CaseResult) -> list[tuple[str, str]]:
    """Return a case's numbers with their names; those that it has none of are left out."""
    return [(name, cell) for name, cell in zip(CASES[2:-1], case_row(case)[2:-1], strict=True) if cell != _NONE]


def acceptance_row(problem: AcceptanceResult) -> tuple[str, ...]:
    """Return the cells of a problem's acceptance, under `ACCEPTANCE`."""
    return (
        problem.problem,
        str(problem.V),
        str(problem.n),
        f"{problem.samples:,}",
        probability(problem.measured),
        f"{probability(problem.low)} – {probability(problem.high)}",
        probability(problem.optimum),
        probability(problem.scheme),
        _NONE if not problem.optimum else f"{problem.measured / problem.optimum:.2%}",
    )


def number(value: float | None) -> str:
    """Return a δ or a p-value in two digits, a dash where there is none."""
    return _NONE if value is None else f"{value:.2g}"


def probability(value: float | None) -> str:
    """Return an acceptance in four decimals, a dash where there is none."""
    return _NONE if value is None else f"{value:.4f}"
