"""Exact tallies: drawn from what they should be, passed by every decision, and failed where they are not exact."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from spectest import Problem, checks, optimum, schemes, zoo
from spectest.calibration import ExactSession, Task, false_alarms
from spectest.calibration.exact import on_exact_tallies
from spectest.declaration import Declaration
from spectest.engine import Call, Experiment, Tally, prepare
from spectest.runner.config import configure
from spectest.stats import binomial_test

if TYPE_CHECKING:
    from collections.abc import Callable

#: Any seed must pass at this level.
SEED, SOUND = secrets.randbits(32), 1e-9
#: `hunt` takes as long as all others: it has a test of its own.
STATISTICAL = [check.name for check in checks.select() if check.weight > 0 and check.name != "hunt"]
TARGET, DRAFT = [0.5, 0.3, 0.2], [0.2, 0.5, 0.3]
PREPARED = prepare(Problem(TARGET, DRAFT, 2), "float64")
OTHER = prepare(Problem([0.1, 0.1, 0.8], DRAFT, 2), "float64")


def fits(counts: np.ndarray, law: list[float]) -> bool:
    return bool(stats.chisquare(counts, np.array(law) * counts.sum()).pvalue > SOUND)


@pytest.mark.parametrize("scheme", [None, "recursive_rejection", "target_only"])
def test_a_free_sample_is_multinomial_and_accepted_as_promised(scheme: str | None) -> None:
    tally = ExactSession(Declaration(n_drafts=2, scheme=scheme)).sample(Experiment((PREPARED,), 200_000, SEED))
    assert tally.samples == 200_000
    assert fits(tally.counts[0], TARGET)
    assert (tally.accepted <= tally.counts).all()
    best = optimum.optimal_acceptance(TARGET, DRAFT, 2).value
    promised = best if scheme is None else schemes.get(scheme).acceptance(PREPARED.problem)
    assert stats.binomtest(int(tally.accepted.sum()), 200_000, promised).pvalue > SOUND


EXPERIMENTS: dict[str, dict[str, Any]] = {
    "kept": {"keep": True, "rows": 40},
    "alternate": {"alternate": True, "rows": 40},
    "pattern": {"pattern": np.arange(40) % 2, "shuffle": True},
    "lines": {"pattern": np.stack([np.arange(40) % 2, (np.arange(40) + 1) % 2])},
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_rows_follow_their_own_problem(name: str) -> None:
    problems = (PREPARED,) if name == "kept" else (PREPARED, OTHER)
    experiment = Experiment(problems, 40_000, SEED, **EXPERIMENTS[name])
    tally = ExactSession(Declaration(n_drafts=2)).sample(experiment)
    assert tally.samples == 40_000
    assert tally.calls == 1000
    for counts, item in zip(tally.counts, problems, strict=True):
        assert fits(counts, item.problem.target.tolist())
    if name == "kept":
        assert tally.outputs.shape == (1000, 40)
        assert np.array_equal(np.bincount(tally.outputs.ravel()), tally.counts[0])


def test_rows_are_told_apart() -> None:
    """A tally by row of a fixed pattern: every row its own problem's law."""
    experiment = Experiment((PREPARED, OTHER), 40_000, SEED, pattern=np.arange(4) % 2, group="row")
    tally = ExactSession(Declaration(n_drafts=2)).sample(experiment)
    assert tally.counts.shape == (4, 3)
    for row in range(4):
        assert fits(tally.counts[row], (PREPARED, OTHER)[row % 2].problem.target.tolist())


def test_given_drafts_are_accepted_by_membership() -> None:
    experiment = Experiment((PREPARED,), 20_000, SEED, rows=100, ids=np.array([0, 2]), keep=True)
    tally = ExactSession(Declaration(n_drafts=2)).sample(experiment)
    assert np.array_equal(tally.accepted[0] > 0, [True, False, True])
    assert np.array_equal(tally.accepted[0, [0, 2]], tally.counts[0, [0, 2]])


def test_own_drafts_follow_their_law() -> None:
    session = ExactSession(Declaration(n_drafts=2))
    tally = session.sample(Experiment((PREPARED,), 20_000, SEED, rows=100, drafts="unverified"))
    assert tally.drafts.shape == (20_000, 2)
    assert tally.drafts.dtype == np.uint8
    for column in tally.drafts.T:
        assert fits(np.bincount(column), DRAFT)
    assert np.array_equal(np.bincount(tally.drafts[:, 0]), tally.counts[0])


def test_a_call_is_a_function_of_its_seeds() -> None:
    session, pattern = ExactSession(Declaration(n_drafts=2)), np.zeros(500, dtype=np.int64)
    first, second, third = (session.call(Call((PREPARED,), pattern, seed, 7)) for seed in (1, 1, 2))
    assert np.array_equal(first.tokens, second.tokens)
    assert not np.array_equal(first.tokens, third.tokens)
    assert np.array_equal(first.ids, third.ids)
    assert fits(np.bincount(first.tokens), TARGET)
    held = session.call(Call((PREPARED,), pattern, 1, 7, then=Call((PREPARED,), pattern, 2)))
    assert np.array_equal(held.tokens, held.held)


DECLARATIONS = [
    Declaration(scheme="recursive_rejection"),
    Declaration(drafting="without_replacement", n_drafts=2),
    Declaration(drafting="independent", dtype="float32"),
    Declaration(batched=False, n_drafts=1, scheme="single_draft", array="numpy"),
]


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda item: f"{item.drafting}-{item.n_drafts}")
def test_exact_tallies_pass_every_decision(declaration: Declaration) -> None:
    config = configure(seed=SEED, alpha=1e-9, vocab=(5, 100), checks=STATISTICAL)
    assert false_alarms(declaration, config) == [], SEED


def test_exact_tallies_pass_the_hunt() -> None:
    assert false_alarms(Declaration(), configure(seed=SEED, alpha=1e-9, vocab=(5,), checks=["hunt"])) == [], SEED


class Shifted(ExactSession):
    """Every fiftieth token is token 0 instead: not exact."""

    def sample(self, experiment: Experiment, progress: Callable[[int], None] | None = None) -> Tally:
        """Move some counts."""
        tally = super().sample(experiment, progress)
        moved = tally.counts // 50
        moved[:, 0] = 0
        tally.counts -= moved
        tally.counts[:, 0] += moved.sum(axis=1)
        tally.accepted = np.minimum(tally.accepted, tally.counts)
        return tally


def test_what_is_not_exact_is_objected_to() -> None:
    declaration = Declaration()
    config = configure(seed=SEED, vocab=(17,), checks=["law", "edge"])
    objecting = false_alarms(declaration, config, Shifted(declaration))
    assert "law[V17]" in objecting
    assert any(case.startswith("edge") for case in objecting)


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.CONTROLS)
def test_controls_on_exact_tallies(name: str) -> None:
    """A run at the default α, twenty seeds: one false alarm in all has a probability of a few in ten thousand."""
    found = [on_exact_tallies(Task(name, seed=SEED + k)) for k in range(20)]
    assert [one for one in found if one.cases] == []


@pytest.mark.slow
@pytest.mark.parametrize("drafting", ["with_replacement", "without_replacement", "independent"])
def test_the_level_of_a_whole_run(drafting: str) -> None:
    """At 30 % it shows: what a run promises for one in a million cannot be counted, the same α at work can."""
    runs, level = 60, 0.3
    declaration = Declaration(drafting=drafting, scheme="recursive_rejection")
    alarms = [bool(false_alarms(declaration, configure(seed=SEED + k, alpha=level))) for k in range(runs)]
    assert not binomial_test(sum(alarms), runs, level, alpha=1e-6, alternative="greater").rejected, (SEED, sum(alarms))
