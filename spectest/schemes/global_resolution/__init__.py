"""Global Resolution: the optimal transport for i.i.d. drafts, approximately, by convex minimisation.

Thomas and Pal (arXiv 2511.15898). At a minimiser H* of p(H) - q(H)^n the transport falls into two systems: drafts that
leave H* ship all their mass to tokens outside it, drafts inside H* ship its tokens all of their target mass. Each is a
flow in softmax form whose logits minimise a convex function, by L-BFGS-B to a tolerance τ, over the likeliest tokens T
alone where the rest of the draft mass is at most τ. Given the drafts one system is needed: it keeps a draft or none,
and where none is kept the output is drawn from what the target has left.

The objectives here have a term for every set of drafts and not for every tuple. How T is chosen within each system, and
when to give up, the sources at hand do not say: here the likeliest tokens, and the limits below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spectest.errors import UsageError
from spectest.schemes import recursive_rejection
from spectest.schemes.common.plain import plain
from spectest.schemes.common.planned import PlannedScheme
from spectest.schemes.global_resolution.resolution import Limits, Resolution, resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from spectest.problem import Problem


@dataclass(frozen=True, eq=False)
class ResolvedPlan:
    """A problem and what came of resolving it."""

    problem: Problem
    resolution: Resolution

    def select(self, draft_token_ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return one token per row, (B, n) -> (B,); see `common.planning.Plan`."""
        import torch  # noqa: PLC0415 (only when selecting)

        if self.resolution.success:
            return self._resolved(draft_token_ids, generator)
        rows, n = draft_token_ids.shape
        target, draft = (
            torch.tensor(law, device=draft_token_ids.device) for law in (self.problem.target, self.problem.draft)
        )
        inputs = target.expand(rows, -1), draft.expand(rows, n, -1), draft_token_ids
        return recursive_rejection.with_replacement(*inputs, generator)

    def _resolved(self, ids: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Choose among the distinct drafts, and nothing, by softmax; draw from the residual where nothing is kept."""
        import torch  # noqa: PLC0415 (only when selecting)

        from spectest.schemes.common.sampling import draw, uniforms  # noqa: PLC0415 (torch)

        found, device = self.resolution, ids.device
        outer, inner = found.systems
        tables = (found.logits, found.residual, found.subset, outer.region, inner.region)
        logits, residual, subset, outer_region, inner_region = (torch.tensor(x, device=device) for x in tables)
        ids = ids.sort(dim=1).values
        inside = subset[ids].all(dim=1)
        resolved = torch.where(inside, inner_region[ids].all(dim=1), outer_region[ids].all(dim=1))
        # Inside H* the active tokens are those of H*, outside it those of the outer system, whatever of H* is drafted.
        usable = (resolved.unsqueeze(1)) & (subset[ids] == inside.unsqueeze(1))
        usable[:, 1:] &= ids[:, 1:] != ids[:, :-1]
        chosen = logits[ids].masked_fill(~usable, -torch.inf)
        nothing = torch.where(inside, 0.0, -torch.inf).double().unsqueeze(1)
        top = torch.maximum(chosen.amax(dim=1, keepdim=True), nothing).clamp_(min=torch.finfo(torch.float64).min)
        edges = (chosen - top).exp_().cumsum(dim=1)
        total = edges[:, -1] + (nothing - top).exp_().squeeze(1)
        slot = (uniforms(len(ids), generator) * total).unsqueeze(1) >= edges
        slot = slot.sum(dim=1, keepdim=True)
        missed = (slot.squeeze(1) == ids.shape[1]).nonzero().squeeze(1)
        selected = ids.gather(1, slot.clamp_(max=ids.shape[1] - 1)).squeeze(1)
        selected[missed] = draw(residual, uniforms(len(missed), generator))
        return selected


class GlobalResolution(PlannedScheme):
    """Global Resolution with a tolerance, and recursive rejection where it fails.

    Not lossless: the output's law is off the target by up to 15 τ in L1 (the source's lemma 6.6). `output_law` is the
    law that really comes out, `acceptance` what it really accepts, `resolve` says how far it is off and why it failed.
    A problem that needs more tokens or iterations than the limits is a failure; its rows are selected by recursive
    rejection, which is lossless, and `acceptance` and `output_law` are then those of recursive rejection.

    Args:
        drafting: with_replacement.
        tau: the tolerance τ, in (0, 1): of the draft mass truncated, and of the gradient's L1 norm, in either system.
        max_tokens: tokens a system may have after truncation.
        max_iterations: of L-BFGS-B, for either system.

    Raises:
        UsageError: another drafting law, or an option out of its range.

    Example:
        >>> from spectest import Problem
        >>> scheme, problem = GlobalResolution(), Problem([1 / 3, 1 / 18, 11 / 18], [1 / 3] * 3, n_drafts=2)
        >>> round(scheme.acceptance(problem), 2), scheme.resolve(problem).deviation < 15e-3
        (0.94, True)
    """

    name = "global_resolution"
    laws = ("with_replacement",)
    options = ("tau", "max_tokens", "max_iterations")

    def __init__(
        self, *, drafting: str | None = None, tau: float = 1e-3, max_tokens: int = 100, max_iterations: int = 200
    ) -> None:
        super().__init__(drafting=drafting)
        if isinstance(tau, bool) or not isinstance(tau, (int, float)) or not 0 < tau < 1:
            msg = f"`tau` of global_resolution must lie between 0 and 1, got {tau!r}"
            raise UsageError(msg)
        for name, limit in {"max_tokens": max_tokens, "max_iterations": max_iterations}.items():
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
                msg = f"`{name}` of global_resolution must be an integer of at least 1, got {limit!r}"
                raise UsageError(msg)
        self.limits = Limits(tau, max_tokens, max_iterations)

    def resolve(self, problem: Problem) -> Resolution:
        """Return what comes of resolving a problem: success or failure, truncation, deviation, acceptance; any V."""
        return resolve(self._checked(problem), self.limits)

    def plan(self, problem: Problem) -> ResolvedPlan:
        """Return how the rows of a problem are selected."""
        return ResolvedPlan(problem, self.resolve(problem))

    def acceptance(self, problem: Problem) -> float:
        """Return P(output is among the drafts), exactly for the logits found or for recursive rejection; any V."""
        found = self.resolve(problem)
        return found.acceptance if found.success else recursive_rejection.SCHEME().acceptance(problem)

    def output_law(self, problem: Problem) -> NDArray[np.float64]:
        """Return the law that really comes out, (V,): after a success off the target by `deviation` in L1; any V."""
        found = self.resolve(problem)
        return found.output_law if found.success else recursive_rejection.SCHEME().output_law(problem)


select = plain(GlobalResolution(), lossless=False)

SCHEME = GlobalResolution
