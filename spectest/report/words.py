"""What a result is called in words: shared by the terminal, the page and pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectest.checks.result import CaseResult
from spectest.runner.excusing import unexpected, waived

if TYPE_CHECKING:
    from spectest.runner.report import CheckResult, Report

_SPOKEN = {"pass": "passed", "fail": "failed", "inconclusive": "inconclusive"}
#: What a selector does in a run with a verdict.
DOES = {"pass": "conforms", "fail": "fails", "inconclusive": "inconclusive"}
INTERRUPTED = "interrupted, what was left did not run"


def case_name(case: CaseResult) -> str:
    """Return `check[case]`."""
    return f"{case.check}[{case.case}]"


def spoken(result: CaseResult | CheckResult) -> str:
    """Return how the verdict of a case or a check is spoken of; a pass with a waived failure is not called passed."""
    cases = (result,) if isinstance(result, CaseResult) else result.cases
    return "waived" if result.verdict == "pass" and any(map(waived, cases)) else _SPOKEN[result.verdict]


def first_line(text: str) -> str:
    """Return the first line of a detail."""
    return text.partition("\n")[0]


def headline(case: CaseResult) -> str:
    """Return `check[case]` and its verdict."""
    return f"{case_name(case)} {spoken(case)}{', stateful' if case.stateful else ''}"


def elsewise(report: Report, case: CaseResult) -> str:
    """Return how a case of a report is run again where no replay record could be stored."""
    seed = report.environment.get("seed", 0)
    return f"spectest verify {report.selector} --checks {case.check} --seed {seed}, with the other options of this run"


def command(case: CaseResult, otherwise: str) -> str:
    """Return the one command that runs a failed case again.

    Args:
        case: the failure.
        otherwise: the command where no replay record could be stored.
    """
    return otherwise if case.replay is None else f"spectest replay {case.replay}"


def failure(case: CaseResult, otherwise: str, *, verbose: bool = False) -> str:
    """Return everything known of a failed case: what, why, the selector's traceback if asked for, how to reproduce it.

    Args:
        case: the failure.
        otherwise: the command that runs it again where no replay record could be stored.
        verbose: with the traceback, or the last output, of the selector.
    """
    lines = [f"{headline(case)}: {case.detail}"]
    if verbose and case.traceback:
        lines.append(case.traceback.rstrip())
    return "\n".join([*lines, f"Reproduce: {command(case, otherwise)}"])


def grounds(report: Report) -> str:
    """Return the checks or cases that the verdict of a run rests on; nothing where it was interrupted before any."""
    if report.verdict == "fail":
        failed = [check.name for check in report.checks if check.verdict == "fail"]
        return f"{', '.join(failed)} ({len(failed)} of {len(report.checks)} checks)"
    if report.verdict == "pass":
        excused = f"; {_waived(report)} more failed and are waived" if _waived(report) else ""
        allowed = "" if _lossless(report) else " beyond what lossless=False allows"
        clean = len(report.cases) - _waived(report)
        return f"{clean} cases of {len(report.checks)} checks found no deviation{allowed}{excused}"
    undecided = ", ".join(_undecided(report))
    return undecided if undecided or report.interrupted else "no check says anything about this selector"


def circumstances(report: Report, seconds: float) -> str:
    """Return a run's α, seed and duration."""
    seed = report.environment.get("seed")
    return f"α = {report.alpha:g}" + ("" if seed is None else f", seed {seed}") + f", {seconds:.1f} s"


def verdict_line(report: Report, seconds: float) -> str:
    """Return the verdict of a run in words, with its α, seed and duration."""
    said = ": ".join(filter(None, [DOES[report.verdict], grounds(report)]))
    stopped = f"; {INTERRUPTED}" if report.interrupted else ""
    return f"{report.selector} {said}{stopped} ({circumstances(report, seconds)})"


def meaning(report: Report) -> str:
    """Return what the verdict of a run says, and what it does not, for a reader who has not met spectest before."""
    if report.verdict == "pass":
        return _found_nothing(report)
    if report.verdict == "fail":
        if all(unexpected(case) for case in report.cases if case.verdict == "fail"):
            return "What failed is a waiver: the failure that it excuses is gone."
        return f"Correct code fails with probability at most α = {report.alpha:g}, whatever the seed."
    why = "some could not decide in the time they had" if _undecided(report) else "not all that was asked for has run"
    return f"No check failed, but {why}: this is not a pass."


def _found_nothing(report: Report) -> str:
    said = "Nothing was found"
    if _waived(report):
        said += " beyond what is waived"
    if not _lossless(report):
        said += " that its declaration as lossy does not allow"
    missed = [check.beta for check in report.checks if check.delta is not None]
    if not missed:
        return f"{said}."
    return f"{said}; a deviation as large as a check's δ is missed with probability at most β = {max(missed):g}."


def _lossless(report: Report) -> bool:
    return bool(report.environment.get("declaration", {}).get("lossless", True))


def _waived(report: Report) -> int:
    return sum(waived(case) for case in report.cases)


def _undecided(report: Report) -> list[str]:
    return [case_name(case) for case in report.cases if case.verdict == "inconclusive"]
