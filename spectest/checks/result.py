"""What a case of a check returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from spectest.checks.adversary.counterexample import Counterexample

Verdict = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class AcceptanceResult:
    """Measured acceptance of one problem beside what it could be (all are probabilities)."""

    problem: str
    V: int
    n: int
    samples: int
    measured: float
    low: float  # 99.9 % Clopper-Pearson interval
    high: float
    optimum: float | None  # α*, or the best upper bound known (see `optimum_method`)
    optimum_method: str
    scheme: float | None  # exact acceptance of the declared scheme

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True)
class CaseResult:
    """One case of one check.

    `alpha` and `beta` are totals over the case's tests; `delta` is the smallest deviation it finds with probability
    1 − beta (total variation unless the check says otherwise), None where the case is exact or could not run.
    """

    check: str
    case: str
    verdict: Verdict
    detail: str  # one line a person can act on; details of a failure follow on further lines
    alpha: float = 0.0
    beta: float = 0.0
    delta: float | None = None
    samples: int = 0
    p_value: float | None = None
    statistic: float | None = None
    seconds: float = 0.0
    traceback: str | None = None  # of the selector, shown with --verbose
    lost: bool = False  # the selector hung or took its process with it
    stateful: bool = False  # failed in the run, passed on replay
    replay: str | None = None  # ID for `spectest replay`
    acceptance: AcceptanceResult | None = None
    counterexample: Counterexample | None = None  # the smallest problem found; stored apart, `detail` shows it

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict, the counter-example left out."""
        found = asdict(replace(self, counterexample=None))
        del found["counterexample"]
        return found
