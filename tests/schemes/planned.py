"""What the tests of the planned schemes share: problems of every law, exact drafts, and sampled rows held to laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from hypothesis import strategies as st

from spectest.schemes.common.planning import forget
from tests.schemes.baselines_enumerated import drafted
from tests.schemes.enumeration import Instance, Law, instance, law
from tests.schemes.sampled import ALPHA, acceptance_p_value, law_p_value, p_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

    from spectest import schemes

ROUNDING = 2e-15  # of sums over all tuples of drafts
DRAWS = 15_000


def weights(vocab: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 20), min_size=vocab, max_size=vocab).filter(any)


@st.composite
def instances(draw: st.DrawFn, laws: Sequence[str], most: int = 4) -> Instance:
    """Small problems with zeros, ties, one-hot laws and p = q among them."""
    vocab, n = draw(st.integers(1, most)), draw(st.integers(1, 3))
    target, drafting = law(*draw(weights(vocab))), draw(st.sampled_from(laws))
    if drafting == "independent":
        return Instance(target, tuple(law(*draw(weights(vocab))) for _ in range(n)), drafting)
    draft = draw(st.one_of(st.just(target), weights(vocab).map(lambda drawn: law(*drawn))))
    n = 2 if drafting == "hub" else n
    if drafting not in {"with_replacement", "independent"}:
        n = min(n, sum(mass > 0 for mass in draft))
    return instance(target, draft, n, drafting)


def random_instance(rng: np.random.Generator, drafting: str, vocab: int, n: int) -> Instance:
    """An instance in tenths of a percent, no token without mass."""

    def drawn() -> Law:
        return law(*((rng.dirichlet(np.full(vocab, 0.8)) * 1000).astype(int) + 1).tolist())

    if drafting == "independent":
        return Instance(drawn(), tuple(drawn() for _ in range(n)), drafting)
    return instance(drawn(), drawn(), 2 if drafting == "hub" else n, drafting)


def draw_ids(rng: np.random.Generator, case: Instance, size: int) -> torch.Tensor:
    """Draw (size, n) drafts from the enumerated law."""
    tuples, masses = zip(*drafted(case), strict=True)
    mass = np.array(masses, dtype=np.float64)
    return torch.tensor(tuples)[torch.from_numpy(rng.choice(len(tuples), size=size, p=mass / mass.sum()))]


def tensors(
    case: Instance, ids: torch.Tensor, *, expanded: bool, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return target (B, V), draft (B, n, V) and ids."""
    target = torch.tensor(np.array(case.target, dtype=np.float64), dtype=dtype).expand(len(ids), -1)
    draft = torch.tensor(np.array(case.drafts, dtype=np.float64), dtype=dtype).expand(len(ids), -1, -1)
    return (target, draft, ids) if expanded else (target.contiguous(), draft.contiguous(), ids)


def check_rows(case: Instance, tokens: torch.Tensor, ids: torch.Tensor, output: np.ndarray, acceptance: float) -> None:
    """Hold selected rows to the law of the output and to the acceptance."""
    assert tokens.shape == (len(ids),)
    assert tokens.dtype == torch.int64
    assert all(case.target[token] for token in tokens.unique().tolist())
    assert law_p_value(tokens, output / output.sum()) > ALPHA
    assert acceptance_p_value(tokens, ids, acceptance) > ALPHA


def check_select(scheme: schemes.Scheme, cases: Sequence[Instance], seed: int, device: str = "cpu") -> None:
    """Rows of one problem as expanded views, then of all problems in turn, contiguous."""
    rng, generator = np.random.default_rng(seed), torch.Generator(device).manual_seed(seed)
    for case in cases:
        ids = draw_ids(rng, case, DRAWS)
        target, draft, drafts = tensors(case, ids.to(device), expanded=True)
        tokens = scheme.select(target.to(device), draft.to(device), drafts, generator).cpu()
        check_rows(case, tokens, ids, scheme.output_law(case.problem), scheme.acceptance(case.problem))
    parts = [tensors(case, draw_ids(rng, case, DRAWS), expanded=False) for case in cases]
    mixed = [torch.stack(rows, dim=1).flatten(0, 1).to(device) for rows in zip(*parts, strict=True)]
    tokens = scheme.select(mixed[0], mixed[1], mixed[2], generator).cpu()
    for k, case in enumerate(cases):
        output, acceptance = scheme.output_law(case.problem), scheme.acceptance(case.problem)
        check_rows(case, tokens[k :: len(cases)], parts[k][2], output, acceptance)


def check_conditional(
    scheme: schemes.Scheme, case: Instance, given: Callable[[Sequence[int]], Sequence[Fraction] | np.ndarray], seed: int
) -> None:
    """For every tuple of drafts, hold the rows to the law given that tuple: stronger than the law alone."""
    forget()  # a plan of the same problem may be left from a test that planted something
    each, vocab = 2_000, len(case.target)
    tuples = [ids for ids, _ in drafted(case)]
    ids = torch.tensor(tuples).repeat_interleave(each, dim=0)
    tokens = scheme.select(*tensors(case, ids, expanded=True), torch.Generator().manual_seed(seed))
    cells = (torch.arange(len(ids)) // each * vocab + tokens).numpy()
    expected = np.array([np.array(given(ids), dtype=np.float64) for ids in tuples])
    expected[expected < 1e-12] = 0  # what rounding leaves never comes out in so few draws
    expected *= each / expected.sum(axis=1, keepdims=True)
    assert p_value(np.bincount(cells, minlength=expected.size), expected.ravel()) > ALPHA
