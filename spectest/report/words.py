"""What a result is called in words: shared by the terminal and by pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectest.runner.excusing import WAIVED

if TYPE_CHECKING:
    from spectest.checks.result import CaseResult
    from spectest.runner.report import Report

#: How a case or a check with a verdict is spoken of.
SPOKEN = {"pass": "passed", "fail": "failed", "inconclusive": "inconclusive"}


def case_name(case: CaseResult) -> str:
    """Return `check[case]`."""
    return f"{case.check}[{case.case}]"


def first_line(text: str) -> str:
    """Return the first line of a detail."""
    return text.partition("\n")[0]


def reproduce(case: CaseResult, otherwise: str) -> str:
    """Return the line with the one command that runs a failed case again.

    Args:
        case: the failure.
        otherwise: the command where no replay record could be stored.
    """
    return f"Reproduce: {otherwise if case.replay is None else f'spectest replay {case.replay}'}"


def failure(case: CaseResult, otherwise: str, *, verbose: bool = False) -> str:
    """Return everything known of a failed case: what, why, the selector's traceback if asked for, how to reproduce it.

    Args:
        case: the failure.
        otherwise: the command that runs it again where no replay record could be stored.
        verbose: with the traceback, or the last output, of the selector.
    """
    stateful = ", stateful" if case.stateful else ""
    lines = [f"{case_name(case)} {SPOKEN[case.verdict]}{stateful}: {case.detail}"]
    if verbose and case.traceback:
        lines.append(case.traceback.rstrip())
    return "\n".join([*lines, reproduce(case, otherwise)])


def verdict_line(report: Report, seconds: float) -> str:
    """Return the verdict of a run in words, with its α, seed and duration."""
    failed = [check.name for check in report.checks if check.verdict == "fail"]
    undecided = [case_name(case) for case in report.cases if case.verdict == "inconclusive"]
    if report.verdict == "fail":
        said = f"fails: {', '.join(failed)} ({len(failed)} of {len(report.checks)} checks)"
    elif report.verdict == "pass":
        waived = sum(case.detail.startswith(WAIVED) for case in report.cases)
        said = f"conforms: {len(report.cases)} cases of {len(report.checks)} checks found no deviation"
        said += f" ({waived} waived)" if waived else ""
    elif undecided:
        said = f"inconclusive: {', '.join(undecided)}"
    elif report.interrupted:
        said = "inconclusive"
    else:
        said = "inconclusive: no check says anything about this selector"
    stopped = "; interrupted, what was left did not run" if report.interrupted else ""
    seed = report.environment.get("seed")
    spent = f"α = {report.alpha:g}" + ("" if seed is None else f", seed {seed}") + f", {seconds:.1f} s"
    return f"{report.selector} {said}{stopped} ({spent})"
