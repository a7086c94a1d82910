"""Pairs of a proposer and a selector in the zoo: what is wrong with each is there, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spectest import zoo
from spectest.declaration import declared_by
from spectest.engine.address import resolve
from spectest.zoo import seam
from tests.calibration.independent import PROBLEMS, RNG, Batch, deviation

SOUND, WRONG = 1e-9, 1e-12
SIZE = 50_000
#: Lossless in ordinary use: the drafts are wrong in another way than their law, or hardly.
UNSEEN_IN_THE_OUTPUT = {"drafted_in_bfloat16", "drafted_from_neighbours_row", "drafts_unseeded"}
PAIRS = [name for name in (*zoo.BUGS, *zoo.CONTROLS) if declared_by(zoo.get(name)).propose is not None]


def own(name: str, problems: tuple[str, ...] = ("staged",), *, size: int = SIZE, seed: int | None = None) -> Any:
    """Return (drafts, tokens) of a pair, its own drafts verified."""
    select = zoo.get(name)
    batch = Batch(select, problems, size)
    generator = torch.Generator().manual_seed(int(RNG.integers(2**60)) if seed is None else seed)
    propose = resolve(str(declared_by(select).propose))
    ids = propose(batch.draft, generator)
    assert ids.shape == batch.ids.shape
    assert ids.dtype == torch.int64
    return ids.numpy(), select(batch.target, batch.draft, ids, generator).numpy()


def test_every_one_is_a_pair() -> None:
    assert len([name for name, bug in zoo.BUGS.items() if bug.kind == "seam"]) >= 10
    assert {name for name, bug in zoo.BUGS.items() if bug.kind == "seam"} <= set(PAIRS)


@pytest.mark.parametrize("name", [name for name in PAIRS if name in zoo.CONTROLS])
def test_controls_are_lossless(name: str) -> None:
    for problem in ("generic", "holes", "peaked", "staged"):
        ids, tokens = own(name, (problem,))
        assert deviation(tokens, problem)[0] > SOUND
        for drafts in ids.T:
            assert deviation(drafts, PROBLEMS[problem][1])[0] > SOUND


@pytest.mark.parametrize("name", [name for name, bug in zoo.BUGS.items() if bug.kind == "seam"])
def test_output(name: str) -> None:
    """Biased with their own drafts; with drafts from q the selector would not be."""
    p_value, _ = deviation(own(name)[1], "staged")
    if name in UNSEEN_IN_THE_OUTPUT:
        assert p_value > SOUND
    else:
        assert p_value < WRONG


@pytest.mark.parametrize("name", ["gumbel_noise_shared", "draft_uniform_draws_residual", "draft_uniform_is_the_coin"])
def test_shared_noise_leaves_the_drafts_as_they_should_be(name: str) -> None:
    assert deviation(own(name)[0][:, 0], PROBLEMS["staged"][1])[0] > SOUND


def test_neighbours_row_shows_in_a_mixed_batch() -> None:
    tokens = own("drafted_from_neighbours_row", ("generic", "other"))[1]
    assert min(deviation(tokens[::2], "generic")[0], deviation(tokens[1::2], "other")[0]) < WRONG


def test_rounded_drafts_are_others_now_and_then() -> None:
    batch = Batch(zoo.get("drafted_in_bfloat16"), ("generic",), 8 * SIZE)
    exact, rounded = (
        propose(batch.draft, torch.Generator().manual_seed(1)).numpy()
        for propose in (seam.by_inverse_cdf, seam.from_bfloat16)
    )
    assert 0 < (exact != rounded).mean() < 0.01


def test_unseeded_drafts_do_not_come_again() -> None:
    first, second = (own("drafts_unseeded", seed=3)[0] for _ in range(2))
    assert (first != second).any()
    first, second = (own("drafts_of_its_own", seed=3)[0] for _ in range(2))
    assert np.array_equal(first, second)
