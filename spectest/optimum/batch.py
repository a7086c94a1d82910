"""Optima of many problems at once, by whichever library the laws come in: numpy, or torch on any device.

Only names that both libraries know are used, so that tensors are never copied and torch is never imported here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from spectest.errors import InvalidProblem
from spectest.optimum.solve import solve
from spectest.problem import Problem, as_law, drafting_rule

if TYPE_CHECKING:
    from types import ModuleType

#: A numpy array, or a torch tensor.
Array: TypeAlias = Any

_ROUNDING: Final = 2.0**-50
_TOLERANCES: Final = {8: 1e-6, 4: 1e-3}  # of a sum, by bytes of the dtype: as `spectest.problem.as_law`
_COARSE: Final = 2e-2
_VECTORISED: Final = ("with_replacement", "greedy", "hub")


class Optima(NamedTuple):
    """The optima of a batch of problems, each with its certificate, as `Optimum` has them."""

    values: Array  # (B,) float64
    subsets: Array  # (B, V) boolean: H of each row


def batched(target: Array, draft: Array, n_drafts: int, drafting: str = "with_replacement") -> Optima:
    """Return the exact optimum of every row of a batch; see `optimal_acceptance`.

    With replacement, greedy and hub go without a loop over rows, on the device of the laws: for many rows of few
    tokens, and for tensors on an accelerator. On a CPU, above some ten thousand tokens, rows one at a time are faster:
    they stay in cache. The other laws have no closed form, but a quadrature or a search that ends at another step for
    every row: they go row by row, on the CPU.

    Args:
        target: target probabilities p, (B, V): a numpy array, or a torch tensor on any device.
        draft: draft probabilities q, (B, V), or (B, n, V) for `independent`, of the same library and device.
        n_drafts: how many drafts are drawn in every row.
        drafting: the drafting law.

    Returns:
        Values (B,) in float64 and subsets (B, V), on the device of `target`. Each value is 1 + p(H) - Q(H).

    Raises:
        InvalidProblem: the rows are not problems.
        ProblemTooLarge: a row has no exact route at its size, as in `solve`.

    Example:
        >>> optima = batched(np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([[0.25, 0.75], [0.5, 0.5]]), 2)
        >>> optima.values.tolist(), optima.subsets.tolist()
        ([0.6875, 1.0], [[False, True], [False, False]])
    """
    library, p = _laws(target, "target", ("B", "V"))
    several = drafting == "independent" and not (n_drafts == 1 and draft.ndim == p.ndim)
    other, q = _laws(draft, "draft", ("B", "n", "V") if several else ("B", "V"))
    if library is not other or (len(p), p.shape[-1]) != (len(q), q.shape[-1]) or p.device != q.device:
        msg = (
            "`target` and `draft` must agree in B, V, library and device, "
            f"got {tuple(p.shape)} {library.__name__} {p.device} and {tuple(q.shape)} {other.__name__} {q.device}"
        )
        raise InvalidProblem(msg)
    _check_drafts(q, n_drafts, drafting)
    if n_drafts == 1:
        q = q.reshape(p.shape)  # (B, 1, V) of one drafter
    elif drafting not in _VECTORISED:
        return _row_by_row(library, p, q, n_drafts, drafting)
    with np.errstate(over="ignore"):  # p/q = inf where q is subnormal: such tokens weigh nothing in Q
        iid = drafting == "with_replacement" and n_drafts > 1
        values, subsets = (_iid if iid else _greedy)(library, p, q, n_drafts)
    certain = values >= 1.0 - _ROUNDING  # within rounding of 1 the empty subset certifies 1 exactly
    return Optima(library.where(certain, 1.0, values), subsets & ~certain[:, None])


def _row_by_row(library: ModuleType, p: Array, q: Array, n_drafts: int, drafting: str) -> Optima:
    here = (np.asarray(laws if library is np else laws.cpu()) for laws in (p, q))
    optima = [solve(Problem(target, draft, n_drafts, drafting)) for target, draft in zip(*here, strict=True)]
    values, subsets = np.array([optimum.value for optimum in optima]), np.array([optimum.subset for optimum in optima])
    return Optima(library.asarray(values, device=p.device), library.asarray(subsets, device=p.device))


def _laws(values: Array, name: str, axes: tuple[str, ...]) -> tuple[ModuleType, Array]:
    """Return the library of an array of laws of these axes, and the laws in float64, renormalised."""
    is_torch = type(values).__module__.partition(".")[0] == "torch"
    law: Array = values if is_torch else as_law(values, name=name)
    if law.ndim != len(axes) or 0 in law.shape:
        msg = f"`{name}` must have shape ({', '.join(axes)}), each at least 1, got {tuple(law.shape)}"
        raise InvalidProblem(msg)
    if not is_torch:
        return np, law
    law = law.double()
    totals = law.sum(-1, keepdims=True)
    tolerance = _TOLERANCES.get(values.dtype.itemsize, _COARSE)
    if not bool(((law >= 0).all() & ((totals - 1).abs() <= tolerance).all()).item()):
        msg = f"`{name}` must hold laws: finite, not negative, every row summing to 1"
        raise InvalidProblem(msg)
    library = import_module("torch")
    return library, law / library.where((totals - 1).abs() <= _ROUNDING, 1.0, totals)


def _check_drafts(draft: Array, n_drafts: object, drafting: str) -> None:
    rule = drafting_rule(drafting)
    if isinstance(n_drafts, bool) or not isinstance(n_drafts, int) or n_drafts < 1:
        msg = f"`n_drafts` must be an integer of at least 1, got {n_drafts!r}"
        raise InvalidProblem(msg)
    if drafting == "independent" and draft.ndim == 3 and draft.shape[1] != n_drafts:  # noqa: PLR2004 (B, n, V)
        msg = f"`draft` must have one row per drafter, (B, {n_drafts}, V), got {tuple(draft.shape)}"
        raise InvalidProblem(msg)
    if rule.fixed_drafts not in {None, n_drafts}:
        msg = f"`n_drafts` must be {rule.fixed_drafts} for {drafting}, got {n_drafts}"
        raise InvalidProblem(msg)
    if rule.distinct and n_drafts > (support := int((draft > 0).sum(-1).min())):
        msg = (
            f"`n_drafts` must not exceed the support of any row of `draft` for {drafting}: got {n_drafts} of {support}"
        )
        raise InvalidProblem(msg)


def _iid(library: ModuleType, p: Array, q: Array, n_drafts: int) -> tuple[Array, Array]:
    """Return the least p(H) + 1 - q(H)^n of every row over the prefixes in ascending order of p/q, and H.

    Ties may come in any order: some best prefix ends between two ratios. No token of a best one has p > n q.
    """
    useful = (q > 0) & (p <= n_drafts * q)
    ratio = library.where(useful, p / library.where(useful, q, 1.0), np.inf)
    order = library.argsort(ratio, axis=1)[:, : int(useful.sum(1).max())]
    flat = order + q.shape[1] * library.arange(q.shape[0], device=q.device)[:, None]
    none = library.zeros_like(q[:, :1])
    masses = library.concatenate([none, q.reshape(-1)[flat]], 1)
    inside = library.cumsum(masses, 1)
    # Summed from the tail, so that 1 - q(H)^n keeps its accuracy where q(H) is nearly 1.
    subsets = library.zeros_like(useful)
    subsets.reshape(-1)[flat] = True
    tail = library.concatenate([masses, library.where(subsets, 0.0, q).sum(1)[:, None]], 1)
    outside = library.flip(library.cumsum(library.flip(tail, (1,)), 1), (1,))[:, 1:]
    kept = library.cumsum(library.concatenate([none, p.reshape(-1)[flat]], 1), 1)
    best = (kept + _power_miss(library, inside, outside, n_drafts)).argmin(1)
    subsets.reshape(-1)[flat] = library.arange(order.shape[1], device=q.device) < best[:, None]
    # The chosen subsets again, by sums that do not drift over a large vocabulary.
    contained, rest = (library.where(chosen, q, 0.0).sum(1) for chosen in (subsets, ~subsets))
    return library.where(subsets, p, 0.0).sum(1) + _power_miss(library, contained, rest, n_drafts), subsets


def _power_miss(library: ModuleType, contained: Array, outside: Array, n_drafts: int) -> Array:
    """Return 1 - c^n from c and 1 - c, both known to full relative accuracy."""
    near = outside < contained
    logarithm = library.where(
        near,
        library.log1p(-library.where(near, outside, 0.0)),
        library.log(library.where(contained > 0, contained, 1.0)),
    )
    return library.where(contained > 0, -library.expm1(n_drafts * logarithm), 1.0)


def _greedy(library: ModuleType, p: Array, q: Array, n_drafts: int) -> tuple[Array, Array]:
    """Return p(A) + sum outside A of min(p, q / q(V - A)) of every row, and H = A ∪ {p < q / q(V - A)}."""
    top = library.zeros_like(q > 0)
    if (count := n_drafts - 1) > 0:
        least = np.partition(q, -count, axis=1)[:, -count, None] if library is np else q.topk(count, 1).values[:, -1:]
        above, tied = q > least, q == least
        # Ties go by id, which neither library promises: as many of the tied as there is room for, the first ones.
        top = above | (tied & (library.cumsum(tied, 1) <= count - above.sum(1, keepdims=True)))
    rest = library.where(top, 0.0, q)
    law = rest / rest.sum(1, keepdims=True)
    return library.where(top, p, library.minimum(p, law)).sum(1), top | (p < law)
