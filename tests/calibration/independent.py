"""What the zoo's selectors are judged by here: own problems, own drafting, own chi-squared, own formulas."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats

from spectest import zoo
from spectest.declaration import declared_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Law = NDArray[np.float64]
    Ids = NDArray[np.int64]

#: Any seed must pass; the variable lets one try.
RNG = np.random.default_rng(int(os.environ.get("ZOO_SEED", "0")))
N_DRAFTS = 3


def _language_like(size: int) -> tuple[Law, Law]:
    """Return a log-normal law and its variation by one unit of the logarithm, in no order of ids."""
    generator = np.random.default_rng(3)
    target = np.exp(3 * generator.standard_normal(size))
    draft = target * np.exp(generator.standard_normal(size))
    return target / target.sum(), draft / draft.sum()


def _zipf(size: int, order: int) -> Law:
    """Return a Zipf law in an order of its own, tokens 0 and V - 1 with mass to speak of."""
    weights = 1 / np.arange(1, size + 1.0)
    law: Law = weights[np.random.default_rng(order).permutation(size)]
    law[[0, -1]] += 0.1
    law /= law.sum()
    return law


#: name -> (target, draft). In `generic` no two tokens of the target have the same mass, and the residual of the first
#: round lies below the draft on tokens 1, 5 and 9: where it is above, later rounds accept whatever the coin says.
PROBLEMS: dict[str, tuple[Law, Law]] = {
    "generic": (
        np.array([0.05, 0.21, 0.07, 0.25, 0.04, 0.14, 0.11, 0.03, 0.01, 0.09]),
        np.array([0.14, 0.18, 0.16, 0.03, 0.11, 0.13, 0.02, 0.09, 0.06, 0.08]),
    ),
    "other": (
        np.array([0.02, 0.03, 0.26, 0.11, 0.17, 0.05, 0.01, 0.2, 0.09, 0.06]),
        np.array([0.17, 0.1, 0.03, 0.02, 0.08, 0.25, 0.16, 0.01, 0.04, 0.14]),
    ),
    "holes": (
        np.array([0.0, 0.3, 0.1, 0.0, 0.2, 0.0, 0.15, 0.25]),
        np.array([0.2, 0.05, 0.0, 0.3, 0.1, 0.0, 0.35, 0.0]),
    ),
    "peaked": (
        np.array([0.3, 0.22, 0.16, 0.12, 0.08, 0.07, 0.05]),
        np.array([0.04, 0.6, 0.05, 0.05, 0.07, 0.04, 0.15]),
    ),
    "staged": (
        np.array([0.01, 0.6, 0.025, 0.015, 0.18, 0.17]),
        np.array([0.03, 0.34, 0.355, 0.25, 0.01, 0.015]),
    ),
    "ties": (np.full(5, 0.2), np.array([0.4, 0.3, 0.15, 0.1, 0.05])),
    "equal": (np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.1, 0.2, 0.3, 0.4])),
    "one_hot": (np.array([0.0, 0.0, 1.0, 0.0]), np.array([0.4, 0.3, 0.2, 0.1])),
    "apart": (np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.0, 0.0, 0.5, 0.5])),
    "small": (np.array([0.5, 0.2, 0.3]), np.array([0.2, 0.5, 0.3])),
    "one_hot_draft": (np.array([0.1, 0.4, 0.3, 0.2]), np.array([0.0, 1.0, 0.0, 0.0])),
    "wide": (_zipf(300, 1), _zipf(300, 2)),
    "huge": _language_like(70_001),
    "trivial": (np.ones(1), np.ones(1)),
}


SMALL = [name for name in PROBLEMS if name != "huge"]
SOUND, WRONG = 1e-9, 1e-12  # a p-value above the first is no deviation, one below the second is
NOTICEABLE = 0.01  # total variation
SIZE = 50_000


def of_effect(*effects: str) -> list[str]:
    """Return the bugs of these effects."""
    return [name for name, bug in zoo.BUGS.items() if bug.effect in effects]


def conforms(out: object, size: int, vocab: int) -> bool:
    """Whether an answer obeys the protocol."""
    array = out.numpy() if isinstance(out, torch.Tensor) else out
    if not isinstance(array, np.ndarray) or array.dtype != np.int64 or array.shape != (size,):
        return False
    return bool(((array >= 0) & (array < vocab)).all())


def load(address: str) -> Callable[..., Any]:
    """Return the selector from its module loaded afresh, its state empty."""
    where, _, name = address.partition(":")
    spec = importlib.util.find_spec(where)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    select: Callable[..., Any] = getattr(module, name)
    return select


def draft_rows(q: Law, drafting: str, n: int) -> Law:
    """Return the n draft laws (n, V): rotations of q for `independent`, else q repeated."""
    if drafting != "independent":
        return np.broadcast_to(q, (n, q.size))
    return np.stack([np.roll(q, k) for k in range(n)])


def draw_drafts(rows: Law, drafting: str, size: int) -> Ids:
    """Draw (size, n) ids: by the Gumbel top-n trick without replacement, otherwise row by row.

    `greedy`: the likeliest n - 1 in order, then one of the others by its share.
    """
    n, vocab = rows.shape
    if drafting == "greedy":
        best = np.argsort(-rows[0], kind="stable")[: n - 1]
        others = rows[0].copy()
        others[best] = 0
        last = RNG.choice(vocab, size=size, p=others / others.sum())
        return np.column_stack([np.tile(best, (size, 1)), last])
    if drafting == "without_replacement":
        with np.errstate(divide="ignore"):
            keys = np.log(rows[0]) + RNG.gumbel(size=(size, vocab))
        return np.argsort(-keys, axis=1)[:, :n]
    return np.stack([RNG.choice(vocab, size=size, p=rows[k]) for k in range(n)], axis=1)


class Batch:
    """Arguments of one call, row by row: problem `names[i % len(names)]` in row i."""

    def __init__(
        self, select: Callable[..., Any], names: tuple[str, ...], size: int, *, n_drafts: int | None = None
    ) -> None:
        """Draw the drafts; one problem is handed over in expanded views where those are declared."""
        self.declared = declared_by(select)
        cast = getattr(torch, self.declared.dtype)
        n = self.declared.n_drafts if n_drafts is None else n_drafts
        if self.declared.drafting in {"without_replacement", "greedy"}:
            n = min(n, *(int((PROBLEMS[name][1] > 0).sum()) for name in names))
        vocab = PROBLEMS[names[0]][0].size
        held = 1 if self.declared.broadcast and len(names) == 1 else size
        target, draft = np.empty((held, vocab)), np.empty((held, n, vocab))
        self.ids = torch.empty(size, n, dtype=torch.int64)
        self.laws = []
        for k, name in enumerate(names):
            p, q = (torch.tensor(law).to(cast).double().numpy() for law in PROBLEMS[name])
            self.laws.append(draft_rows(q / q.sum(), self.declared.drafting, n))
            target[k :: len(names)], draft[k :: len(names)] = p, self.laws[k]
        self.target = torch.tensor(target).to(cast).expand(size, -1)
        self.draft = torch.tensor(draft).to(cast).expand(size, -1, -1)
        self.redraw()

    def redraw(self) -> None:
        """Draw the drafts anew."""
        for k, rows in enumerate(self.laws):
            here = slice(k, None, len(self.laws))
            self.ids[here] = torch.tensor(draw_drafts(rows, self.declared.drafting, len(self.ids[here])))

    def randomness(self, seed: int) -> tuple[Any, ...]:
        """Return the fourth argument as declared: none, an int, uniforms or a generator."""
        if self.declared.rng == "global":
            torch.manual_seed(seed)
            return ()
        if self.declared.rng == "seed":
            return (seed,)
        if self.declared.rng == "uniforms":
            size, n = self.ids.shape
            return (torch.tensor(np.random.default_rng(seed).random((size, n + 1))),)
        if self.declared.array == "numpy":
            return (np.random.default_rng(seed),)
        return (torch.Generator().manual_seed(seed),)

    def call(self, select: Callable[..., Any], seed: int | None = None) -> Any:
        """Call once (row by row where it is not batched) on the tensors of this batch themselves."""
        extra = self.randomness(int(RNG.integers(2**60)) if seed is None else seed)
        arguments: list[Any] = [self.target, self.draft, self.ids]
        if self.declared.array == "numpy":
            arguments = [argument.numpy() for argument in arguments]
        if self.declared.batched:
            return select(*arguments, *extra)
        return torch.tensor([int(select(*row, *extra)) for row in zip(*arguments, strict=True)])


def sample(
    select: Callable[..., Any], names: tuple[str, ...], size: int, *, n_drafts: int | None = None
) -> tuple[Ids, Ids]:
    """Return (tokens, drafts) of one call, or of some of 4000 rows where they take much memory."""
    large = PROBLEMS[names[0]][0].size > 100 and not declared_by(select).broadcast
    chunk = min(4000, size) if large else size
    batch = Batch(select, names, chunk, n_drafts=n_drafts)
    tokens, drafts = [], []
    for _ in range(size // chunk):
        batch.redraw()
        drafts.append(batch.ids.numpy().copy())
        tokens.append(np.asarray(batch.call(select), dtype=np.int64).reshape(-1))
    return np.concatenate(tokens), np.concatenate(drafts)


def sample_calls(select: Callable[..., Any], name: str, rows: int, calls: int) -> Ids:
    """Return the tokens of many small calls, (calls, rows)."""
    whole = Batch(select, (name,), rows * calls)
    out = np.empty((calls, rows), dtype=np.int64)
    generator = torch.Generator().manual_seed(int(RNG.integers(2**60)))
    for k in range(calls):
        here = slice(k * rows, (k + 1) * rows)
        out[k] = select(whole.target[here], whole.draft[here], whole.ids[here], generator).numpy()
    return out


def deviation(tokens: Ids, law: str | Law) -> tuple[float, float]:
    """Return (p-value of Pearson's chi-squared against a law, total variation); p = 0 off the support.

    `law`: the name of a problem stands for its target.
    """
    law = PROBLEMS[law][0] if isinstance(law, str) else law
    counts = np.bincount(tokens, minlength=law.size)
    variation = 0.5 * float(np.abs(counts / counts.sum() - law).sum())
    if counts[law == 0].any():
        return 0.0, variation
    order = np.argsort(law)
    expected, observed = law[order] * counts.sum(), counts[order]
    hundreds = np.maximum(expected.cumsum() // 100, 1).astype(np.int64)  # a cell a hundred, or a token with more
    got, want = np.bincount(hundreds, weights=observed), np.bincount(hundreds, weights=expected)
    got, want = got[want > 0], want[want > 0]
    return (float(stats.chisquare(got, want).pvalue) if len(want) > 1 else 1.0), variation


def dependence(pairs: Ids) -> float:
    """Return the p-value of independence of the two columns."""
    table = np.zeros((pairs.max() + 1, pairs.max() + 1))
    np.add.at(table, (pairs[:, 0], pairs[:, 1]), 1)
    return float(stats.chi2_contingency(table[table.sum(1) > 0][:, table.sum(0) > 0]).pvalue)


def acceptance_of(scheme: str, p: Law, rows: Law) -> float:
    """Return the exact acceptance of a scheme on i.i.d. or independent drafts, from its closed form."""
    n, q = len(rows), rows[0]
    if scheme == "target_only":
        return float((p * (1 - (1 - q) ** n)).sum())
    if scheme in {"naive", "single_draft"}:
        return float((np.minimum(p, q) + np.maximum(p - q, 0) * (1 - (1 - q) ** (n - 1))).sum())
    if scheme == "k_seq":
        low, high = 1.0, float(n)
        for _ in range(60):
            rho = (low + high) / 2
            beta = np.minimum(p / rho, q).sum()
            low, high = (rho, high) if 1 - (1 - beta) ** n > rho * beta else (low, rho)
        return float(np.minimum(p, high * q).sum())
    missed, left = 1.0, p
    for row in rows:
        overlap = float(np.minimum(left, row).sum())
        missed *= 1 - overlap
        residual = np.maximum(left - row, 0)
        left = residual / max(residual.sum(), 1e-300)
    return 1 - missed
