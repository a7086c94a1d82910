"""A problem: one target law, the drafters' laws, how many drafts and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest.errors import InvalidProblem

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: Up to this many tokens the repr of a problem is the call that makes it; above, a summary.
_WRITTEN_OUT = 64


@dataclass(frozen=True)
class DraftingRule:
    """What a drafting law asks of a problem, and the module that implements it."""

    module: str
    rows_differ: bool = False  # draft is (n, V), one row per drafter
    distinct: bool = False  # the n drafted tokens are distinct: n <= support of draft
    fixed_drafts: int | None = None  # the law draws this many, or the whole support of draft where that is smaller

    def drafts(self, asked: int, support: int) -> int:
        """Return how many drafts there are where `asked` are wanted and `support` tokens have a positive q.

        Example:
            >>> [DRAFTING[law].drafts(3, support=2) for law in ("with_replacement", "greedy", "hub")]
            [3, 2, 2]
        """
        n = asked if self.fixed_drafts is None else self.fixed_drafts
        return min(n, support) if self.distinct else n


#: The registry of drafting laws: adding one is a file in `spectest/drafting/` and a line here.
DRAFTING: dict[str, DraftingRule] = {
    "with_replacement": DraftingRule("spectest.drafting.with_replacement"),
    "without_replacement": DraftingRule("spectest.drafting.without_replacement", distinct=True),
    "independent": DraftingRule("spectest.drafting.independent", rows_differ=True),
    "greedy": DraftingRule("spectest.drafting.greedy", distinct=True),
    "hub": DraftingRule("spectest.drafting.hub", distinct=True, fixed_drafts=2),
}


def drafting_rule(name: object) -> DraftingRule:
    """Return the rule of the drafting law called `name`.

    Raises:
        InvalidProblem: no law has that name.
    """
    if not isinstance(name, str) or name not in DRAFTING:
        msg = f"`drafting` must be one of {', '.join(DRAFTING)}, got {name!r}"
        raise InvalidProblem(msg)
    return DRAFTING[name]


_ROUNDING: Final = 2.0**-50


def _sum_tolerance(values: NDArray[Any]) -> float:
    """How far a sum may be from 1: rounding of the dtype the user held the law in."""
    if values.dtype.kind != "f" or values.dtype.itemsize >= 8:  # noqa: PLR2004 (bytes of float64)
        return 1e-6
    return 1e-3 if values.dtype.itemsize == 4 else 2e-2  # noqa: PLR2004 (bytes of float32)


def as_law(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Validate the last axis of `values` as probability laws; return float64, renormalised.

    Raises:
        InvalidProblem: not numeric, empty, not finite, negative, or not summing to 1.
    """
    try:
        raw = np.asarray(values)
        numeric = raw.dtype.kind in "fiubO"  # text that reads as numbers, complex numbers and dates are not laws
        law = np.array(raw if numeric else np.nan, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor that requires grad
        msg = f"`{name}` must be an array of numbers, got {type(values).__name__} that numpy does not take: {error}"
        raise InvalidProblem(msg) from error
    if not numeric:
        msg = f"`{name}` must be an array of real numbers, got dtype {raw.dtype}"
        raise InvalidProblem(msg)
    if law.ndim == 0 or law.shape[-1] == 0:
        msg = f"`{name}` must hold at least one token, got shape {law.shape}"
        raise InvalidProblem(msg)
    if not np.isfinite(law).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(law))[0])
        msg = f"`{name}` must be finite, got {law[where]} at index {where}"
        raise InvalidProblem(msg)
    if (law < 0).any():
        where = tuple(int(i) for i in np.argwhere(law < 0)[0])
        msg = f"`{name}` must not be negative, got {law[where]:.6g} at index {where}"
        raise InvalidProblem(msg)
    with np.errstate(over="ignore"):  # a sum of inf is refused below
        totals = law.sum(axis=-1, keepdims=True)
    worst = float(np.abs(totals - 1).max())
    if worst > _sum_tolerance(raw):
        got = float(totals.flat[int(np.abs(totals - 1).argmax())])
        msg = f"`{name}` must sum to 1, got {got:.9g}; divide it by its sum first"
        raise InvalidProblem(msg)
    # A law that sums to 1 as well as rounding allows is left as it is, so that a validated law survives validation.
    law /= np.where(np.abs(totals - 1) <= _ROUNDING, 1.0, totals)
    return law


@dataclass(frozen=True, eq=False)
class Problem:
    """One position to verify: target law p, draft law q, n drafts, a drafting law.

    Both laws are validated, held in float64 and renormalised there; the arrays are read-only.

    Args:
        target: target probabilities p, shape (V,).
        draft: draft probabilities q, shape (V,), or (n, V) for `independent`.
        n_drafts: how many drafts are drawn; for `independent` it must equal the rows of `draft`, for `hub` 2 (1 where
            `draft` has a single token).
        drafting: how they are drawn, a name in `spectest.problem.DRAFTING`.
        name: what reports call it.

    Raises:
        InvalidProblem: anything above does not hold; the message says what was got.

    Example:
        >>> problem = Problem([0.5, 0.5], [0.25, 0.75], n_drafts=2)
        >>> problem.vocab_size, problem.draft_rows.shape
        (2, (2, 2))
    """

    target: NDArray[np.float64]
    draft: NDArray[np.float64]
    n_drafts: int = 1
    drafting: str = "with_replacement"
    name: str = field(default="", kw_only=True)

    if TYPE_CHECKING:  # the generated __init__ takes whatever `as_law` converts

        def __init__(
            self,
            target: ArrayLike,
            draft: ArrayLike,
            n_drafts: int = 1,
            drafting: str = "with_replacement",
            *,
            name: str = "",
        ) -> None: ...

    def __post_init__(self) -> None:
        """Validate, convert and freeze."""
        rule = drafting_rule(self.drafting)
        target = as_law(self.target, name="target")
        draft = as_law(self.draft, name="draft")
        if target.ndim != 1:
            msg = f"`target` must have shape (V,), got {target.shape}"
            raise InvalidProblem(msg)
        n = self.n_drafts
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            msg = f"`n_drafts` must be an integer of at least 1, got {n!r}"
            raise InvalidProblem(msg)
        expected = (int(n), target.size) if rule.rows_differ else (target.size,)
        if draft.shape != expected:
            shape = "(n, V)" if rule.rows_differ else "(V,)"
            msg = f"`draft` must have shape {shape} = {expected} for {self.drafting}, got {draft.shape}"
            if draft.ndim > 1 and not rule.rows_differ:
                msg += "; drafters of their own laws draft `independent`"
            raise InvalidProblem(msg)
        support = int((draft > 0).sum())
        if rule.distinct and int(n) > support:
            msg = (
                f"`n_drafts` must not exceed the support of `draft` for {self.drafting}: "
                f"got {n} drafts of {support} tokens with positive probability"
            )
            raise InvalidProblem(msg)
        if int(n) != rule.drafts(int(n), support):
            msg = f"`n_drafts` must be {rule.fixed_drafts} for {self.drafting}, got {n}"
            raise InvalidProblem(msg)
        target.flags.writeable = draft.flags.writeable = False
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "draft", draft)
        object.__setattr__(self, "n_drafts", int(n))

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return int(self.target.size)

    @property
    def draft_rows(self) -> NDArray[np.float64]:
        """The draft law of each draft, (n, V); a read-only view where the drafters are equal."""
        return np.broadcast_to(self.draft, (self.n_drafts, self.vocab_size))

    def __repr__(self) -> str:
        """Return the call that makes this problem, or a summary where it has more than 64 tokens."""
        options = f"n_drafts={self.n_drafts}"
        if self.drafting != "with_replacement":
            options += f", drafting={self.drafting!r}"
        if self.name:
            options += f", name={self.name!r}"
        if self.vocab_size > _WRITTEN_OUT:
            return f"<Problem of {self.vocab_size} tokens: {options}>"
        return f"Problem({self.target.tolist()}, {self.draft.tolist()}, {options})"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:  # noqa: ANN401, FBT001 (IPython's protocol)
        """Print the same under Hypothesis, which otherwise writes dataclasses field by field, arrays included."""
        printer.text(repr(self))
