"""What a run is asked for, and the plan of cases it comes to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spectest import checks, schemes
from spectest.checks.base import Settings
from spectest.declaration import Declaration
from spectest.errors import InvalidProblem, UsageError
from spectest.runner.waivers import load_waivers
from spectest.stats import split_alpha

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from spectest.problem import Problem
    from spectest.runner.waivers import Waiver


@dataclass(frozen=True)
class Tier:
    """How deep a run looks.

    `delta` binds `law` and `acceptance` on main problems of the sizes in `vocab`; `small` and `calls` are sample sizes
    of the other checks; `budget` is the default time limit in seconds.
    """

    delta: float
    vocab: tuple[int, ...]
    small: int
    calls: int
    budget: float


TIERS: Final[dict[str, Tier]] = {
    "quick": Tier(delta=1e-2, vocab=(2, 5, 17, 64, 300), small=12_000, calls=800, budget=600),
    "standard": Tier(delta=2e-3, vocab=(2, 5, 17, 64, 100, 300), small=100_000, calls=4_000, budget=1_800),
    "deep": Tier(delta=5e-4, vocab=(2, 5, 17, 64, 100, 300, 1000), small=1_000_000, calls=20_000, budget=4 * 3600),
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
        problem: the user's own problem, in place of the main ones; `fitted` gives it the selector's drafts and law.
        overrides: declarations that override the selector's own; None items are ignored.
        waivers: known failures.

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
    waivers: tuple[Waiver, ...] = ()

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
        Declaration().override(self.overrides)
        for waiver in self.waivers:
            self._check_case(waiver)

    def _check_case(self, waiver: Waiver) -> None:
        """Refuse a waiver of a case that no tier has, whatever the sizes: it would wait for a failure for ever."""
        if waiver.case is None:
            return
        tiers = [self.settings, *(replace(self, tier=name, waivers=()).settings for name in TIERS)]
        there = dict.fromkeys(case for settings in tiers for case in checks.get(waiver.check).cases(settings))
        if _without_sizes(waiver.case) not in map(_without_sizes, there):
            where = f"`waivers`, that of {waiver.issue}"
            msg = f"{where}: check {waiver.check} has no case {waiver.case!r}; there are {', '.join(there)}"
            raise UsageError(msg)

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

    def fitted(self, declaration: Declaration) -> RunConfig:
        """Return the configuration for a selector that declares this: a problem of the user's own gets its n and law.

        Raises:
            UsageError: this kind of selector cannot be verified.
            InvalidProblem: the user's own problem does not fit the number of drafts or their law.
        """
        if declaration.kind != "selector":
            msg = f"`kind` {declaration.kind} is not provided: spectest verifies selectors of one position"
            raise UsageError(msg)
        if declaration.scheme is not None:
            _known_scheme(declaration)
        if self.problem is None:
            return self
        own = replace(self.problem, n_drafts=declaration.n_drafts, drafting=declaration.drafting)
        return replace(self, problem=own)

    @property
    def seconds(self) -> float:
        """The budget in force."""
        return self.budget or TIERS[self.tier].budget


def _without_sizes(case: str) -> str:
    return re.sub(r"\d+", "0", case)


def _known_scheme(declaration: Declaration) -> None:
    try:
        scheme = schemes.get(str(declaration.scheme), drafting=declaration.drafting)
        scheme.check_drafts(declaration.drafting, declaration.n_drafts)
    except (UsageError, InvalidProblem) as error:
        msg = f"`scheme` {declaration.scheme!r} cannot be held to: {error}"
        raise UsageError(msg) from error


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


def configure(
    *,
    vocab: int | Iterable[int] | None = None,
    checks: Iterable[str] | None = None,
    waivers: str | Path | None = None,
    **given: Any,  # noqa: ANN401 (validated by RunConfig and Declaration)
) -> RunConfig:
    """Return the configuration that keywords ask for; None stands for what was not given.

    Args:
        vocab: one size, or several.
        checks: names of checks.
        waivers: file of known failures (`spectest.runner.waivers`).
        given: any other field of `RunConfig`, or of `spectest.declaration.Declaration`.

    Raises:
        UsageError: an unknown keyword, or a value out of its range.

    Example:
        >>> configure(tier="deep", vocab=7, dtype="float32", delta=None).vocab
        (7,)
    """
    for name, value in (("vocab", vocab), ("checks", checks)):
        if isinstance(value, str):
            msg = f"`{name}` must be a list, got the string {value!r}; write [{value!r}]"
            raise UsageError(msg)
    given = {name: value for name, value in given.items() if value is not None}
    own = {item.name for item in fields(RunConfig)} - {"overrides"}
    return RunConfig(
        vocab=None if vocab is None else (vocab,) if isinstance(vocab, int) else tuple(vocab),
        checks=None if checks is None else tuple(checks),
        waivers=() if waivers is None else load_waivers(Path(waivers)),
        overrides={name: value for name, value in given.items() if name not in own},
        **{name: value for name, value in given.items() if name in own},
    )


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
        f"{check.name}[{case}]": check.weight
        for check in checks.select()
        for case in check.cases(settings)
        if check.weight
    }
    shares = split_alpha(config.alpha, weights)
    return [
        Planned(check.name, case, shares.get(f"{check.name}[{case}]", 0.0), check.cost(case, settings))
        for check in checks.select(config.checks)
        for case in check.cases(settings)
    ]
