"""Resolving one problem: the split at H*, what each token is to be shipped, truncation, and what then comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spectest.optimum import solve
from spectest.optimum.prefix import ratio_order
from spectest.schemes.global_resolution.softmax_flow import SoftmaxFlow, count_terms, minimise, set_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.problem import Problem

#: Sets an objective may have: a system with more is given up like one with too many tokens.
MAX_TERMS: Final = 600_000
#: Outer tokens that are to be shipped less are left out: they are to be shipped nothing, up to rounding.
_NOTHING: Final = 2.0**-50
_STEEPEST: Final = 50.0  # of the logits that the minimisation starts from


@dataclass(frozen=True)
class Limits:
    """When a resolution is good enough, and when it is given up.

    Args:
        tau: for each of the two systems, draft mass that truncation may leave out, and the L1 norm of the gradient.
        max_tokens: tokens a system may have after truncation.
        max_iterations: of L-BFGS-B, for each system.
    """

    tau: float = 1e-3
    max_tokens: int = 100
    max_iterations: int = 200


@dataclass(frozen=True, eq=False)
class System:
    """One side of the split: the outer ships draft sets that leave H* to tokens outside it, the inner the others.

    Args:
        outer: which of the two.
        region: draft sets within it are resolved, those not resolved are truncated: H* and T, or T alone, (V,).
        tokens: T, the likeliest tokens of this side, the likeliest first.
        truncated: mass of the draft sets that are truncated.
    """

    outer: bool
    region: NDArray[np.bool_]
    tokens: NDArray[np.intp]
    truncated: float


@dataclass(frozen=True, eq=False)
class Resolution:
    """What came of resolving a problem, and what then comes out of it.

    Drafts that a system resolves keep one of their active tokens, chosen in proportion to e^α, the inner system with 1
    for keeping none; where none is kept and where drafts are truncated, the residual is drawn.

    Args:
        success: whether both systems met τ within the limits; if not, the rest is what they came to.
        reason: of a failure: `tokens` or `iterations`; else empty.
        iterations: of L-BFGS-B, both systems together.
        systems: the outer and the inner system.
        logits: α of every token, -inf where it is shipped nothing, (V,).
        subset: H*, (V,).
        residual: norm (p - S)+, with S the mass shipped to each token, (V,).
        output_law: of the output, (V,).
        acceptance: P(output is among the drafts).
        deviation: L1 distance of the output's law from the target.
    """

    success: bool
    reason: str
    iterations: int
    systems: tuple[System, System]
    logits: NDArray[np.float64]
    subset: NDArray[np.bool_]
    residual: NDArray[np.float64]
    output_law: NDArray[np.float64]
    acceptance: float
    deviation: float

    @property
    def truncation(self) -> tuple[float, float]:
        """The draft mass that the outer and the inner system leave out."""
        outer, inner = self.systems
        return outer.truncated, inner.truncated

    def to_dict(self) -> dict[str, Any]:
        """Return what is reported of it as a JSON-ready dict; tokens and truncation of the outer system first."""
        return {
            "success": self.success,
            "reason": self.reason,
            "iterations": self.iterations,
            "tokens": [int(system.tokens.size) for system in self.systems],
            "truncation": list(self.truncation),
            "acceptance": self.acceptance,
            "deviation": self.deviation,
        }


def resolve(problem: Problem, limits: Limits) -> Resolution:
    """Resolve a problem of i.i.d. drafts within limits.

    Example:
        >>> from spectest import Problem
        >>> found = resolve(Problem([1 / 3, 1 / 18, 11 / 18], [1 / 3] * 3, n_drafts=2), Limits(tau=1e-8))
        >>> found.success, round(found.acceptance, 6), found.deviation < 1e-7
        (True, 0.944444, True)
    """
    target, draft, n = problem.target, problem.draft, problem.n_drafts
    subset = solve(problem).subset
    systems = _truncate(draft, subset, n, limits.tau, outer=True), _truncate(draft, subset, n, limits.tau, outer=False)
    logits, shipped, missed = np.full(draft.size, -np.inf), np.zeros(draft.size), _truncated(problem, subset, systems)
    reason, iterations = "", 0
    if any(system.tokens.size > limits.max_tokens or _terms(system, n) > MAX_TERMS for system in systems):
        reason = "tokens"
    for system in () if reason else systems:
        wanted = vertex(problem, subset, system.tokens) if system.outer else target[system.tokens]
        active = wanted > (_NOTHING if system.outer else 0)
        tokens, wanted = system.tokens[active], wanted[active]
        beside = system.region.copy()
        beside[tokens] = False
        flow = SoftmaxFlow(wanted, set_groups(draft[tokens], draft[beside].sum(), n), optional=not system.outer)
        start = np.clip(np.log(wanted) - np.log(draft[tokens]), -_STEEPEST, _STEEPEST)
        found = minimise(flow, start, limits.tau + system.truncated, limits.max_iterations)
        logits[tokens], iterations = found.alpha, iterations + found.iterations
        shipped[tokens], left = flow.outcome(found.alpha)
        missed[tokens] += left
        reason = reason or ("" if found.converged else "iterations")
    residual = np.maximum(target - shipped, 0.0)
    residual = residual / residual.sum() if residual.any() else target
    law = shipped + max(0.0, 1.0 - float(shipped.sum())) * residual
    acceptance = min(1.0, float(shipped.sum() + residual @ missed))
    deviation = float(np.abs(law - target).sum())
    return Resolution(not reason, reason, iterations, systems, logits, subset, residual, law, acceptance, deviation)


def _terms(system: System, n_drafts: int) -> int:
    return count_terms(system.tokens.size, n_drafts)


def _truncate(
    draft: NDArray[np.float64], subset: NDArray[np.bool_], n_drafts: int, tau: float, *, outer: bool
) -> System:
    """Return the system with the fewest tokens that leaves out draft mass of at most τ."""
    tokens = np.flatnonzero((~subset if outer else subset) & (draft > 0))
    tokens = tokens[np.argsort(-draft[tokens], kind="stable")]
    # Draft mass within the side that T may cover, and what T leaves uncovered: sums over the tail.
    within = 1.0 if outer else float(draft[tokens].sum())
    rest = np.append(np.cumsum(draft[tokens][::-1])[::-1], 0.0)
    share = np.minimum(rest / within, 1.0) if within > 0 else np.zeros(1)
    with np.errstate(divide="ignore"):  # everything left out: log1p(-1) = -inf
        left_out = -np.expm1(n_drafts * np.log1p(-share)) * within**n_drafts
    size = int((left_out > tau).sum())
    region = subset.copy() if outer else np.zeros_like(subset)
    region[tokens[:size]] = True
    return System(outer, region, tokens[:size], float(left_out[size]))


def vertex(problem: Problem, subset: NDArray[np.bool_], tokens: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mass each outer token is to be shipped (theorem 6.2), `tokens` standing last in the order.

    p_v = p(v) + min over T ⊇ H of ψ(T) - min over T ⊇ H + v of ψ(T), with H = H* and all tokens after v, and
    ψ(T) = p(T) - q(T)^n. Each minimum is attained by H and a prefix of the other tokens in ascending order of p/q.
    """
    target, draft = problem.target, problem.draft
    order = ratio_order(target, draft)
    included = subset.copy()

    def least() -> float:
        free = order[~included[order]]
        masses = target[included].sum() + np.append(0.0, np.cumsum(target[free]))
        inside = draft[included].sum() + np.append(0.0, np.cumsum(draft[free]))
        return float((masses - inside**problem.n_drafts).min())

    before, wanted = least(), np.empty(tokens.size)
    for position in reversed(range(tokens.size)):
        included[tokens[position]] = True
        after = least()
        wanted[position] = target[tokens[position]] + before - after
        before = after
    return np.clip(wanted, 0.0, target[tokens])


def _truncated(problem: Problem, subset: NDArray[np.bool_], systems: tuple[System, System]) -> NDArray[np.float64]:
    """Return the mass of the truncated draft sets that hold each token, (V,)."""
    draft, n = problem.draft, problem.n_drafts
    outer, inner = systems

    def holding(region: NDArray[np.bool_]) -> NDArray[np.float64]:
        """P(the drafts lie in `region` and hold the token)."""
        inside = min(1.0, float(draft[region].sum()))
        return np.where(region, inside**n - np.maximum(inside - draft, 0.0) ** n, 0.0)

    missed = np.zeros_like(draft)
    if outer.truncated > 0:
        missed += holding(np.ones_like(subset)) - holding(outer.region)
    if inner.truncated > 0:
        missed += holding(subset) - holding(inner.region)
    return np.maximum(missed, 0.0)
