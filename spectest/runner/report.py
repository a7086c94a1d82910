"""The result of a run: folded from cases, convertible to the published JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spectest.checks.result import AcceptanceResult, CaseResult, Verdict

SCHEMA_VERSION: Final = 1
EXIT_CODES: Final[dict[str, int]] = {"pass": 0, "fail": 1, "inconclusive": 3}
_SEVERITY: Final[dict[str, int]] = {"pass": 0, "inconclusive": 1, "fail": 2}


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict that takes precedence: fail > inconclusive > pass; none at all is inconclusive."""
    return max(verdicts, key=_SEVERITY.__getitem__, default="inconclusive")


@dataclass(frozen=True)
class CheckResult:
    """All cases of one check, folded: totals of α, β and samples, the largest δ, the smallest p-value."""

    name: str
    cases: tuple[CaseResult, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the cases."""
        return worst([case.verdict for case in self.cases])

    @property
    def decisive(self) -> CaseResult:
        """The case that decided: the first with the worst verdict, of the smallest p-value."""

        def rank(case: CaseResult) -> tuple[int, float]:
            return (-_SEVERITY[case.verdict], 1.0 if case.p_value is None else case.p_value)

        return min(self.cases, key=rank)

    @property
    def alpha(self) -> float:
        """Total false-alarm rate of the cases."""
        return sum(case.alpha for case in self.cases)

    @property
    def beta(self) -> float:
        """Largest miss rate of a case at its own δ."""
        return max((case.beta for case in self.cases), default=0.0)

    @property
    def delta(self) -> float | None:
        """Largest δ of a case, None where all are exact."""
        return max((case.delta for case in self.cases if case.delta is not None), default=None)

    @property
    def samples(self) -> int:
        """Samples drawn in all cases."""
        return sum(case.samples for case in self.cases)

    @property
    def p_value(self) -> float | None:
        """The decisive case's p-value."""
        return self.decisive.p_value

    @property
    def statistic(self) -> float | None:
        """The decisive case's statistic."""
        return self.decisive.statistic

    @property
    def detail(self) -> str:
        """The decisive case's detail."""
        return self.decisive.detail

    @property
    def replay(self) -> str | None:
        """The decisive case's ID for `spectest replay`."""
        return self.decisive.replay

    def to_dict(self) -> dict[str, Any]:
        """Return the check as the published JSON has it."""
        published = ("name", "verdict", "alpha", "beta", "delta", "samples", "p_value", "statistic", "detail", "replay")
        return {key: getattr(self, key) for key in published} | {"cases": [case.to_dict() for case in self.cases]}


@dataclass(frozen=True)
class Report:
    """Everything a run found. `exit_code` is the documented process exit code."""

    selector: str
    alpha: float
    cases: tuple[CaseResult, ...]
    environment: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    @cached_property
    def checks(self) -> tuple[CheckResult, ...]:
        """The cases folded by check, in the order they were planned."""
        grouped: dict[str, list[CaseResult]] = {}
        for case in self.cases:
            grouped.setdefault(case.check, []).append(case)
        return tuple(CheckResult(name, tuple(cases)) for name, cases in grouped.items())

    @property
    def verdict(self) -> Verdict:
        """Precedence: fail > inconclusive > pass; an interrupted run never passes."""
        verdicts: list[Verdict] = [case.verdict for case in self.cases]
        return worst([*verdicts, "inconclusive"] if self.interrupted else verdicts)

    @property
    def exit_code(self) -> int:
        """0 conforms, 1 a check failed, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    @property
    def problems(self) -> tuple[AcceptanceResult, ...]:
        """Acceptance on each main problem, by vocabulary."""
        found = [case.acceptance for case in self.cases if case.acceptance is not None]
        return tuple(sorted(found, key=lambda item: item.V))

    @property
    def acceptance(self) -> AcceptanceResult | None:
        """Acceptance on the largest main problem."""
        return self.problems[-1] if self.problems else None

    def to_dict(self) -> dict[str, Any]:
        """Return the published JSON, schema 1."""
        shared = ("samples", "measured", "low", "high", "optimum", "scheme")
        problems = [
            {"name": p.problem, "V": p.V, "n": p.n, "optimum_method": p.optimum_method}
            | {key: getattr(p, key) for key in shared}
            for p in self.problems
        ]
        top = self.acceptance
        return {
            "schema": SCHEMA_VERSION,
            "verdict": self.verdict,
            "selector": self.selector,
            "alpha": self.alpha,
            "interrupted": self.interrupted,
            "checks": [check.to_dict() for check in self.checks],
            "problems": problems,
            "acceptance": top and {key: getattr(top, key) for key in shared if key != "samples"},
            "environment": self.environment,
        }
