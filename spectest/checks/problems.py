"""The problems a run draws: main problems that show classical deviations, and those of rows, support and recovery.

Everything is a function of (settings, declaration, name): the same on every worker and in a replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from spectest.problem import Problem, drafting_rule
from spectest.stats import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spectest.checks.base import Settings
    from spectest.declaration import Declaration

    Law = NDArray[np.float64]

_CANDIDATES: Final = 48
_MANY_TOKENS: Final = 2_000  # above it a handful of candidates must do
#: What a deciding coin counts for beside a moved law: deciding coins are rarer.
_COIN: Final = 8.0
_FLOOR: Final = 0.08  # share of a main target spread evenly, so that every token is emitted often enough to be tested


def build(
    target: Law,
    draft: Law,
    declaration: Declaration,
    generator: np.random.Generator,
    name: str,
    *,
    n: int | None = None,
    order: NDArray[np.int64] | None = None,
) -> Problem:
    """Return a problem under the declared drafting law, its token ids permuted: randomly unless `order` is given.

    `draft` (V,) serves every drafter alike; for `independent` drafters each gets its own variation of it, with the same
    support. Where n distinct tokens are needed and there are fewer, n is the size of q's support; a law that fixes the
    number of drafts has that many.
    """
    n = declaration.n_drafts if n is None else n
    rule = drafting_rule(declaration.drafting)
    order = generator.permutation(target.size) if order is None else order
    target, draft = target[order], draft[order]
    if rule.rows_differ:
        others = draft * np.exp(0.7 * generator.standard_normal((n - 1, target.size)))
        draft = np.vstack([draft, others / others.sum(axis=1, keepdims=True)])
    n = rule.drafts(n, int((draft > 0).sum()))
    return Problem(target, draft, n, declaration.drafting, name=name)  # p = q stays so, bit for bit


def main_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the main problems: by vocabulary, or the user's own."""
    if settings.problem is not None:
        return (settings.problem.name or f"V{settings.problem.vocab_size}",)
    return tuple(f"V{size}" for size in settings.vocab)


def main_problem(name: str, settings: Settings, declaration: Declaration) -> Problem:
    """Return a main problem.

    Of several random candidates it is the one on which three classical deviations (recovering from p itself, testing
    every draft against p, a lenient ratio) move the output most, so that few samples show them.
    """
    if settings.problem is not None:
        return settings.problem
    vocab_size = int(name[1:])
    generator = np.random.default_rng(derive_seed(settings.seed, "main", name))
    families = (_logits, _dirichlet, _zipf)
    candidates = _CANDIDATES if vocab_size <= _MANY_TOKENS else len(families)
    best, best_score = None, -1.0
    for index in range(candidates):
        target, draft = families[index % len(families)](generator, vocab_size)
        score = _sensitivity(target, draft, declaration.n_drafts)
        if score > best_score:
            best, best_score = (target, draft), score
    assert best is not None
    return build(*best, declaration, generator, name)


def softmax(logits: Law) -> Law:
    """Return the law of these logits, (V,)."""
    weights = np.exp(logits - logits.max())
    law: Law = weights / weights.sum()
    return law


def _floored(target: Law) -> Law:
    floored: Law = (1 - _FLOOR) * target + _FLOOR / target.size
    return floored


def _logits(generator: np.random.Generator, vocab_size: int) -> tuple[Law, Law]:
    logits = generator.uniform(0.8, 1.8) * generator.standard_normal(vocab_size)
    return _floored(softmax(logits)), softmax(
        logits + generator.uniform(0.7, 1.6) * generator.standard_normal(vocab_size)
    )


def _dirichlet(generator: np.random.Generator, vocab_size: int) -> tuple[Law, Law]:
    target, draft = generator.dirichlet(np.full(vocab_size, generator.uniform(0.5, 1.5)), size=2)
    return _floored(target), _floored(draft)


def _zipf(generator: np.random.Generator, vocab_size: int) -> tuple[Law, Law]:
    ranks = np.arange(1, vocab_size + 1, dtype=np.float64)
    target, draft = ranks ** -generator.uniform(0.5, 1.2), ranks ** -generator.uniform(0.5, 1.2)
    return _floored(target / target.sum()), softmax(np.log(draft) + 0.8 * generator.standard_normal(vocab_size))


def _sensitivity(target: Law, draft: Law, n_drafts: int) -> float:
    """Return how visible classical deviations are on a problem, the least visible counting.

    Three output laws in closed form (recovered from p itself; every draft tested against p; a ratio forgiven one part
    in ten), by total variation; and the chance that a round's coin decides, P(reached) · E[a (1 − a)] with a the
    acceptance probability of its draft: where a is 0 or 1 whatever the draft, a wrong coin changes nothing.
    """
    kept = np.minimum(target, draft)
    beta = float(kept.sum())
    residual = _residual(target, draft)
    from_target = kept + (1 - beta) * target
    untouched = kept / max(beta, 1e-300) * (1 - (1 - beta) ** n_drafts) + (1 - beta) ** n_drafts * residual
    ratio = 0.9
    lenient_kept = np.minimum(draft, target / ratio)
    lenient = lenient_kept + (1 - lenient_kept.sum()) * _residual(target, ratio * draft)
    laws = [from_target, lenient] if n_drafts == 1 else [from_target, lenient, untouched]
    moved = min(float(np.abs(law - target).sum() / 2) for law in laws)
    left, reached, decided = target, 1.0, []
    for _ in range(n_drafts):
        accepted = np.minimum(1.0, np.divide(left, draft, out=np.ones_like(draft), where=draft > 0))
        decided.append(reached * float((draft * accepted * (1 - accepted)).sum()))
        reached *= 1 - float(np.minimum(left, draft).sum())
        left = _residual(left, draft)
    return moved + min(moved, _COIN * min(decided))


def _residual(law: Law, draft: Law) -> Law:
    left: Law = np.maximum(law - draft, 0)
    total = left.sum()
    return left / total if total > 0 else law


def support_problem(vocab_size: int, settings: Settings, declaration: Declaration) -> Problem:
    """Return a problem with zeros in p, in q and in both; the first and the last token have none of p's mass."""
    generator = np.random.default_rng(derive_seed(settings.seed, "support", vocab_size))
    target, draft = generator.dirichlet(np.ones(vocab_size), size=2)
    quarter = max(1, vocab_size // 4)
    target[: 2 * quarter] = 0
    draft[quarter : 2 * quarter] = 0
    inner = generator.permutation(np.setdiff1d(np.arange(vocab_size), [0, 1]))
    order = np.array([0, *inner, 1])
    target, draft = target / target.sum(), draft / draft.sum()
    return build(target, draft, declaration, generator, f"zeros-V{vocab_size}", order=order)


def rows_problems(
    count: int, vocab_size: int, settings: Settings, declaration: Declaration, label: str
) -> list[Problem]:
    """Return `count` problems of one (n, V) for the rows of a batch.

    Most have their target on three tokens of their own: a row answered from another row's target emits tokens it does
    not have, an exact failure. From the fifth on every fourth has a one-hot target, and every fourth one p = q: what is
    right for such a row must not be done to its neighbours. The first has most of its target where the draft has
    little, so that even a few hundred samples of it show a wrong residual.
    """
    generator = np.random.default_rng(derive_seed(settings.seed, "rows", label))
    order = generator.permutation(vocab_size)  # one for all: no two supports become the same
    found = []
    for index in range(count):
        target = np.zeros(vocab_size)
        support = (index + np.arange(3)) % vocab_size
        target[support] = generator.dirichlet(np.full(3, 40.0))
        draft = softmax(1.2 * generator.standard_normal(vocab_size))
        if index == 0:
            draft = np.where(target > 0, 0.05, 0.15 / (vocab_size - 3))
            draft[support[0]] = 0.75
        elif index % 4 == 0:
            target = np.eye(vocab_size)[support[0]]
        elif index % 4 == 1 and index > 1:
            draft = target = _floored(target)
        found.append(build(target, draft, declaration, generator, f"row-{index}", order=order))
    return found


def recovered_problems(
    count: int, vocab_size: int, settings: Settings, declaration: Declaration, label: str
) -> list[Problem]:
    """Return `count` problems of which most rows are recovered, from a residual with mass on nearly every token.

    The target is spread over all tokens, the draft has most of its mass on one.
    """
    generator = np.random.default_rng(derive_seed(settings.seed, "recovered", label))
    found = []
    for index in range(count):
        target = generator.dirichlet(np.full(vocab_size, 10.0))
        draft = np.full(vocab_size, 0.1 / vocab_size)
        draft[generator.integers(vocab_size)] += 0.9
        found.append(build(target, draft, declaration, generator, f"recovered-{index}"))
    return found
