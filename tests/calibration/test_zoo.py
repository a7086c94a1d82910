"""The zoo's selectors are what they are called: controls correct, no bug lossless by accident, output laws right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import stats

from spectest import zoo
from spectest.declaration import declared_by
from spectest.runner.config import configure
from spectest.zoo import controls, precision
from spectest.zoo.families import LAST, UNUSED
from tests.calibration.independent import (
    NOTICEABLE,
    PROBLEMS,
    SIZE,
    SMALL,
    SOUND,
    WRONG,
    Batch,
    acceptance_of,
    conforms,
    deviation,
    draft_rows,
    load,
    of_effect,
    sample,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.long

#: Wrong on ordinary problems as well, if less.
ANYWHERE = {"noise_in_bfloat16", "flat_index_in_16_bits"}
#: Lost below a floor that no ordinary problem reaches: has a test of its own.
FLOOR = "noise_in_single_precision"


def size_for(select: Callable[..., Any], name: str) -> int:
    """Return how many rows are affordable."""
    if not Batch(select, ("trivial",), 1).declared.batched:
        return 3_000
    return SIZE if PROBLEMS[name][0].size < 100 or declared_by(select).broadcast else 12_000


def test_tables_name_what_exists() -> None:
    """Every entry is a selector under its own address, documented, with options that can be asked for."""
    assert len(zoo.CONTROLS) >= 20
    assert len(zoo.BUGS) >= 120
    assert not set(zoo.BUGS) & set(zoo.CONTROLS)
    for entry in (*zoo.BUGS.values(), *zoo.CONTROLS.values()):
        assert callable(zoo.get(entry.name))
        assert entry.address.startswith("spectest.zoo.")
        assert entry.summary
        assert configure(**entry.options).settings.seed == 0
    for bug in zoo.BUGS.values():
        assert re.fullmatch(r"B\d\d|–", bug.family), bug
        assert bug.family == "–" or bug.citation != "–", f"{bug.name} belongs to a family: where was it met?"
        assert set(bug.needs.split()) <= {*PROBLEMS, *BATCHES}, bug.needs
        assert bug.escape is None or bug.escape.samples > 0


def test_every_family_of_the_survey_is_here_or_elsewhere() -> None:
    numbered = {f"B{number:02}" for number in range(1, LAST + 1)} - UNUSED
    here = {bug.family for bug in zoo.BUGS.values()} - {"–"}
    assert here | set(zoo.ELSEWHERE) == numbered
    assert not here & set(zoo.ELSEWHERE)


#: What a bug may need beside one of the problems: the batch or the calls that show it.
BATCHES = {
    "mixed",
    "mixed_greedy",
    "last_row",
    "odd_batch",
    "single_row",
    "beyond_1024",
    "every_100th",
    "every_8th",
    "equal_drafts",
    "next_call",
    "every_16th_call",
    "another_seed",
    "same_seed",
    "repeated_shape",
    "reused_buffer",
    "reused_output",
    "call_in_between",
    "first_call",
    "littered_memory",
    "smaller_vocabulary",
    "embedded",
}


@pytest.mark.parametrize("problem", ["generic", "holes", "ties", "wide"])
@pytest.mark.parametrize("name", zoo.CONTROLS)
def test_correct_law_and_acceptance(name: str, problem: str) -> None:
    """Law by chi-squared; acceptance, where a scheme is declared, against its closed form."""
    select = zoo.get(name)
    tokens, ids = sample(select, (problem,), size_for(select, problem))
    p_value, variation = deviation(tokens, problem)
    assert p_value > SOUND, f"TV {variation:.4f}"
    declared = Batch(select, (problem,), 1).declared
    scheme = declared.scheme
    if scheme is None or declared.drafting == "without_replacement":
        return
    target, draft = PROBLEMS[problem]
    exact = acceptance_of(scheme, target, draft_rows(draft, declared.drafting, declared.n_drafts))
    accepted = int((ids == tokens[:, None]).any(1).sum())
    assert stats.binomtest(accepted, len(tokens), min(exact, 1.0)).pvalue > SOUND, (accepted / len(tokens), exact)


@pytest.mark.parametrize("name", zoo.CONTROLS)
def test_correct_protocol(name: str) -> None:
    """On ordinary and degenerate problems: dtype, shape, range, support, replay, inputs untouched; mixed rows."""
    select = zoo.get(name)
    for problem in SMALL:
        batch = Batch(select, (problem,), 200)
        before = [tensor.clone() for tensor in (batch.target, batch.draft, batch.ids)]
        first, second = batch.call(select, seed=7), batch.call(select, seed=7)
        assert conforms(first, 200, PROBLEMS[problem][0].size)
        assert (np.asarray(first) == np.asarray(second)).all()
        assert (PROBLEMS[problem][0][np.asarray(first)] > 0).all()
        assert all(torch.equal(*pair) for pair in zip(before, (batch.target, batch.draft, batch.ids), strict=True))
    tokens, _ = sample(select, ("generic", "other"), size_for(select, "generic"))
    assert deviation(tokens[::2], "generic")[0] > SOUND
    assert deviation(tokens[1::2], "other")[0] > SOUND


@pytest.mark.parametrize("name", [name for name in of_effect("law", "support") if name != FLOOR])
def test_biased(name: str) -> None:
    """Biased on the problem it needs; noticeably so unless it is marked mild.

    One too mild, or of too many tokens, for a sample of this size is judged by its output law; that is tested below.
    """
    bug, select = zoo.BUGS[name], zoo.get(name)
    needs = bug.needs or ("huge" if "vocab" in bug.options else "generic")
    if bug.output_law is not None and bug.effect == "law" and (bug.mild or needs == "huge"):
        target, draft = PROBLEMS[needs]
        variation = np.abs(bug.output_law(target, draft) - target).sum() / 2
        assert variation > (1e-4 if bug.mild else NOTICEABLE)
        return
    tokens, _ = sample(select, (needs,), 2 * size_for(select, needs))
    p_value, variation = deviation(tokens, needs)
    assert p_value < WRONG, f"TV {variation:.4f}"
    assert bug.mild or variation > NOTICEABLE
    if bug.effect == "support":
        assert (PROBLEMS[needs][0][tokens] == 0).any()
    if needs in {"wide", "equal", "ties", "one_hot", "one_hot_draft", "huge"} and name not in ANYWHERE:
        assert deviation(sample(select, ("generic",), SIZE)[0], "generic")[0] > SOUND


@pytest.mark.parametrize("problem", ["generic", "holes", "peaked"])
@pytest.mark.parametrize("name", [name for name, bug in zoo.BUGS.items() if bug.output_law is not None])
def test_output_law(name: str, problem: str) -> None:
    """With one draft its tokens follow the law that is claimed for it."""
    output_law = zoo.BUGS[name].output_law
    assert output_law is not None
    claimed = output_law(*PROBLEMS[problem])
    assert claimed.sum() == pytest.approx(1)
    assert claimed.min() >= -1e-15
    tokens, _ = sample(zoo.get(name), (problem,), SIZE, n_drafts=1)
    p_value, variation = deviation(tokens, claimed)
    assert p_value > SOUND, f"TV {variation:.4f}"


@pytest.mark.parametrize("name", [name for name, bug in zoo.BUGS.items() if "vocab" in bug.options and bug.output_law])
def test_output_law_of_a_large_vocabulary(name: str) -> None:
    """The same where it shows."""
    output_law = zoo.BUGS[name].output_law
    assert output_law is not None
    claimed = output_law(*PROBLEMS["huge"])
    assert np.abs(claimed - PROBLEMS["huge"][0]).sum() > 0
    assert deviation(sample(zoo.get(name), ("huge",), SIZE, n_drafts=1)[0], claimed)[0] > SOUND


def test_floor_of_single_precision() -> None:
    """Of 2^16 tokens of 1e-11 each, tokens that win one race in a million between them, none ever does."""
    left = torch.full((1, 1 + 2**16), 1e-11).double()
    left[0, 0] = 1 - 2**16 * 1e-11
    draft = torch.zeros_like(left)
    draft[0, 1] = 1  # always rejected, so that the final draw decides
    rows, ids = 100, torch.ones(100, 1, dtype=torch.int64)
    tokens = precision.noise_in_single_precision(
        left.expand(rows, -1), draft[:, None].expand(rows, 1, -1), ids, torch.Generator().manual_seed(0)
    )
    floor = 2**-24  # the least clock: its token wins against the heavy one if 1e-11 / floor > 1 / clock of that one
    assert 1e-11 / floor < 1e-3
    assert (tokens == 0).all()


@pytest.mark.parametrize("kind", ["law", "support", "rows", "dependence", "determinism", "state", "acceptance"])
def test_answers_everywhere(kind: str) -> None:
    """What is wrong with these is never an exception or the form of the answer, on whatever problem."""
    for name in of_effect(kind):
        select = load(zoo.BUGS[name].address)
        for problem in SMALL:
            vocab = 256 if name == "ids_wrap_at_256" else PROBLEMS[problem][0].size
            assert conforms(Batch(select, (problem,), 9).call(select), 9, vocab), (name, problem)


@pytest.mark.parametrize("name", [name for name, bug in zoo.BUGS.items() if bug.mild])
def test_mild(name: str) -> None:
    """Below 0.01 of total variation on an ordinary problem in an ordinary batch."""
    output_law = zoo.BUGS[name].output_law
    if output_law is not None:
        target, draft = PROBLEMS["generic"]
        assert np.abs(output_law(target, draft) - target).sum() / 2 < NOTICEABLE
    else:
        assert deviation(sample(zoo.get(name), ("generic",), 2 * SIZE)[0], "generic")[1] < NOTICEABLE


def test_injection() -> None:
    """Two chosen uniforms emit a token of mass 0; the correct one stays on the support."""
    target, draft = (torch.tensor(law)[None] for law in PROBLEMS["holes"])
    q = draft[:, None].expand(1, 3, -1)
    ids = torch.tensor([[0, 3, 0]])  # target mass 0
    zero, nearly_one = torch.zeros(1, 4).double(), torch.full((1, 4), 1 - 2.0**-53).double()
    assert target[0, precision.inclusive_at_zero(target, q, ids, zero)] == 0
    ends_in_zero = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).double()
    uniform = torch.full((1, 3, 4), 0.25).double()
    last = torch.tensor([[3, 3, 3]])
    assert precision.coin_rounds_to_one(ends_in_zero, uniform, last, nearly_one) == 3
    for uniforms in (zero, nearly_one):
        assert target[0, controls.rrs_uniforms(target, q, ids, uniforms)] > 0
        assert controls.rrs_uniforms(ends_in_zero, uniform, last, uniforms) != 3
