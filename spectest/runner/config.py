"""What a run is asked for, and the plan of cases it comes to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from spectest import checks
from spectest.checks.base import Settings
from spectest.errors import UsageError
from spectest.stats import split_alpha

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spectest.problem import Problem


@dataclass(frozen=True)
class Tier:
    """How deep a run looks.

    `delta` binds `law` and `acceptance` on main problems of the sizes in `vocab`; `small` and `calls` are sample sizes of
    the other checks; `budget` is the default time limit in seconds.
    """

    delta: float
    vocab: tuple[int, ...]
    small: int
    calls: int
    budget: float


TIERS: Final[dict[str, Tier]] = {
    "quick": Tier(delta=1e-2, vocab=(2, 5, 17, 64, 100, 257), small=12_000, calls=800, budget=300),
    "standard": Tier(delta=2e-3, vocab=(2, 5, 17, 64, 100, 257), small=100_000, calls=4_000, budget=1_800),
    "deep": Tier(delta=5e-4, vocab=(2, 5, 17, 64, 100, 257, 1000), small=1_000_000, calls=20_000, budget=4 * 3600),
}


@dataclass(frozen=True)
class RunConfig:
    """Everything a run can be asked for.

    Args:
        tier: quick, standard or deep.
        alpha: total false-alarm rate of the run.
        beta: probability of missing a deviation of δ.
        delta: in place of the tier's.
        seed: of the run.
        vocab: sizes of the main problems, in place of the tier's.
        budget: seconds the run may take, in place of the tier's.
        timeout: seconds per call of the selector after a process's first.
        checks: names of the checks to run, all by default; α is shared among all of them either way.
        problem: the user's own problem, in place of the main ones.
        overrides: declarations that override the selector's own; None items are ignored.

    Raises:
        UsageError: a value is out of its range; the message names it.
    """

    tier: str = "quick"
    alpha: float = 1e-6
    beta: float = 1e-3
    delta: float | None = None
    seed: int = 0
    vocab: tuple[int, ...] | None = None
    budget: float | None = None
    timeout: float = 10.0
    checks: tuple[str, ...] | None = None
    problem: Problem | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate."""
        if self.tier not in TIERS:
            msg = f"`tier` must be one of {', '.join(TIERS)}, got {self.tier!r}"
            raise UsageError(msg)
        for name in ("alpha", "beta", "delta"):
            _between_zero_and_one(name, getattr(self, name))
        for name in ("budget", "timeout"):
            _positive(name, getattr(self, name))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            msg = f"`seed` must be an integer of at least 0, got {self.seed!r}"
            raise UsageError(msg)
        for size in self.vocab or ():
            if isinstance(size, bool) or not isinstance(size, int) or size < 2:  # noqa: PLR2004 (V = 1 is an edge)
                msg = f"`vocab` must hold sizes of at least 2, got {size!r}"
                raise UsageError(msg)
        if self.vocab is not None and not self.vocab:
            msg = "`vocab` must name at least one size"
            raise UsageError(msg)
        if self.vocab is not None and self.problem is not None:
            msg = "`vocab` sizes the generated problems: leave it out with a problem of your own"
            raise UsageError(msg)
        checks.select(self.checks)

    @property
    def settings(self) -> Settings:
        """What checks are told."""
        tier = TIERS[self.tier]
        return Settings(
            alpha=self.alpha,
            delta=self.delta or tier.delta,
            beta=self.beta,
            seed=self.seed,
            vocab=tuple(dict.fromkeys(self.vocab or tier.vocab)),
            small=tier.small,
            calls=tier.calls,
            problem=self.problem,
        )

    @property
    def seconds(self) -> float:
        """The budget in force."""
        return self.budget or TIERS[self.tier].budget


def _between_zero_and_one(name: str, value: object) -> None:
    if value is None and name == "delta":
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1:
        msg = f"`{name}` must lie between 0 and 1, got {value!r}"
        raise UsageError(msg)


def _positive(name: str, value: object) -> None:
    if value is None and name == "budget":
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        msg = f"`{name}` must be a positive number of seconds, got {value!r}"
        raise UsageError(msg)


@dataclass(frozen=True)
class Planned:
    """One case of a run: its share of α and of the time."""

    check: str
    case: str
    alpha: float
    cost: float

    @property
    def name(self) -> str:
        """`check[case]`."""
        return f"{self.check}[{self.case}]"


def plan(config: RunConfig) -> list[Planned]:
    """Return the cases of a run, in order: a function of `config` alone, so that every worker plans the same.

    α is split over the cases of all checks, asked for or not: choosing checks never changes a verdict.
    """
    settings = config.settings
    weights = {
        f"{check.name}[{case}]": check.weight for check in checks.select() for case in check.cases(settings) if check.weight
    }
    shares = split_alpha(config.alpha, weights)
    return [
        Planned(check.name, case, shares.get(f"{check.name}[{case}]", 0.0), check.cost(case, settings))
        for check in checks.select(config.checks)
        for case in check.cases(settings)
    ]
