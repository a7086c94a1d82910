"""The hunt: what it finds, that it accuses nobody else, that it always hunts the same way."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import GLOBAL_CONSTANTS
from scipy import stats

import spectest
from spectest.checks.adversary import shrinking
from spectest.checks.adversary.engine import Enough, search
from spectest.checks.adversary.families import FAMILIES
from spectest.checks.adversary.oracle import Oracle
from spectest.checks.adversary.proposing import trials
from spectest.checks.adversary.trial import Trial
from spectest.checks.base import Context
from spectest.declaration import Declaration
from spectest.engine import LocalSession
from spectest.problem import DRAFTING
from spectest.strategies import problems
from tests.adversary import special
from tests.checks.bench import SEED, SMALL, Drawn, run

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = 3_000  # at most: a hunt ends with what it finds
ALPHA = 1e-9


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, what is found is shrunk to the end."""
    monkeypatch.setattr(shrinking, "SECONDS", 120.0)


def found_by(select: Callable[..., Any], **options: Any) -> spectest.Problem:
    found = spectest.hunt(select, examples=EXAMPLES, alpha=ALPHA, **options)
    assert found is not None
    return found.problem


# ------------------------------------------------------------------------------------------------- what is found


@pytest.mark.parametrize("name", special.COINCIDENCES)
def test_a_defect_that_takes_a_coincidence_is_found_and_made_small(name: str) -> None:
    found = spectest.hunt(special.unverified(special.COINCIDENCES[name]), examples=EXAMPLES, alpha=ALPHA, seed=SEED)
    assert found is not None, SEED
    assert len(found.trial.problems) == 1
    problem = found.problem
    assert problem.vocab_size <= 4, found
    p, q = problem.target[None], problem.draft_rows[None]
    ids = np.argmax(q, axis=-1)
    assert special.COINCIDENCES[name](p, q, ids).any()  # the smallest problem shows what it takes
    assert "total variation" in found.detail
    assert repr(problem).startswith("Problem(")


def test_tokens_that_must_go_together_go_wherever_they_are() -> None:
    """Of five tokens two between the others: either by itself leaves an even number, which does not fail."""
    select = special.unverified(special.COINCIDENCES["the vocabulary is odd"])
    problem = spectest.Problem([1, 0, 0, 0, 0], [0, 0, 0, 1, 0], 1)
    oracle = Oracle(Context(LocalSession(select), SMALL, 1e-8), trials=1, samples=1_000)
    found = oracle.examine(Trial((problem,))).found
    assert found is not None
    shrinker = shrinking.Shrinker(found, oracle)
    shrinker.shrink()
    assert shrinker.found.trial.vocab_size <= 3


def test_a_defect_that_takes_neighbours_keeps_them() -> None:
    found = spectest.hunt(special.looks_at_neighbours, examples=EXAMPLES, alpha=ALPHA, seed=SEED)
    assert found is not None, SEED
    assert len(found.trial.problems) == 2
    assert found.trial.vocab_size <= 4
    assert "problem 2 of 2 in one batch" in str(found)


def test_an_exception_is_found_where_it_is_raised() -> None:
    found = spectest.hunt(special.refuses_one_token, examples=EXAMPLES, alpha=ALPHA, seed=SEED)
    assert found is not None, SEED
    assert found.problem.vocab_size == 1
    assert "nothing to choose from" in found.detail


def test_too_much_acceptance_is_named() -> None:
    found = spectest.hunt(lambda p, q, ids, generator: ids[:, 0], array="numpy", examples=50, alpha=ALPHA, seed=SEED)
    assert found is not None
    assert found.problem.n_drafts == 1


def test_a_long_law_is_told_by_its_heaviest_tokens() -> None:
    target = np.full(100, 0.0)
    target[[7, 40, 3, *range(50, 58)]] = [0.5, 0.25, *np.full(9, 0.25 / 9)]
    (line,) = Trial((spectest.Problem(target, np.eye(100)[40]),)).written()
    assert line.startswith("p = (1/2 at 7, 1/4 at 40, 1/36 at 3, 1/36 at 50, ")
    assert ", 5 more of 100 tokens), q = (1 at 40 of 100 tokens), n = 1" in line


def test_it_looks_where_it_is_told() -> None:
    found = found_by(special.unverified(special.always), problems=problems(vocab=3, n_drafts=2), seed=SEED)
    assert found.vocab_size <= 3
    only_one = problems(vocab=1)
    assert spectest.hunt(special.unverified(special.always), problems=only_one, examples=5, seed=SEED) is None


def test_what_is_found_is_found_again() -> None:
    select = special.unverified(special.COINCIDENCES["two tokens tie"])
    first, second = (spectest.hunt(select, examples=EXAMPLES, alpha=ALPHA, seed=3) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize("name", ["examples", "samples"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_arguments_are_checked(name: str, value: object) -> None:
    with pytest.raises(spectest.UsageError, match=f"`{name}`"):
        spectest.hunt(special.correct, **{name: value})


# ------------------------------------------------------------------------------------------------- false alarms


@pytest.mark.parametrize("case", FAMILIES)
def test_a_correct_selector_is_not_accused(case: str) -> None:
    session = LocalSession(special.correct)
    for seed in range(3):
        result = run("hunt", case, session, replace(SMALL, seed=SEED + seed))
        assert result.verdict == "pass", (SEED + seed, result.detail)
        assert result.samples > 0
        assert result.delta is not None
        assert 0 < result.delta < 0.2
        assert "\n" not in result.detail


@pytest.mark.parametrize("drafting", [law for law in DRAFTING if law != "with_replacement"])
def test_every_drafting_law_is_hunted(drafting: str) -> None:
    """Target-only is lossless whatever the drafts."""

    def from_target(p: Any, q: Any, ids: Any, generator: Any) -> Any:
        return special.drawn(p, generator.random(len(p)))

    n = 2 if drafting == "hub" else 3
    assert spectest.hunt(from_target, drafting=drafting, n_drafts=n, array="numpy", examples=40, alpha=ALPHA) is None


@pytest.mark.parametrize(("trials_planned", "alpha"), [(1, 0.6), (30, 0.9), (1_000, 0.9)])
def test_level_of_the_stages(trials_planned: int, alpha: float) -> None:
    """Exact multinomial tallies: a trial is convicted with probability at most its part of α, at every depth."""
    tried, convicted = 300, 0
    for repetition in range(tried):
        session = Drawn(Declaration(), np.random.default_rng([SEED, repetition]), accepting=0.0)
        oracle = Oracle(Context(session, SMALL, alpha), trials=trials_planned, samples=500)
        problem = spectest.Problem([0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], 2)
        convicted += oracle.examine(Trial((problem,))).found is not None
    assert stats.binomtest(convicted, tried, alpha / trials_planned, alternative="greater").pvalue > 1e-9


def test_stages_have_power() -> None:
    """A total variation of 0.03, seen by chance only in a first sample, is convicted by the larger ones."""

    def shifted(target: Any) -> Any:
        return target + np.array([0.03, -0.03])

    convicted = 0
    for repetition in range(40):
        session = Drawn(Declaration(), np.random.default_rng([SEED, repetition]), law=shifted)
        oracle = Oracle(Context(session, SMALL, ALPHA), trials=100, samples=4_096)
        found = oracle.examine(Trial((spectest.Problem([0.5, 0.5], [0.5, 0.5], 1),))).found
        convicted += found is not None
    assert convicted >= 10


# ------------------------------------------------------------------------------------------------- the search


def proposed(seed: int, at_most: int = 30) -> list[str]:
    seen: list[str] = []

    def tell(trial: Trial) -> float:
        seen.append(trial.digest)
        return float(trial.problems[0].target.max())

    search(trials(FAMILIES["medium"], Declaration()), tell, seed=seed, at_most=at_most)
    return seen


def test_a_seed_proposes_the_same_trials() -> None:
    assert proposed(1) == proposed(1)
    assert proposed(1) != proposed(2)
    assert len(proposed(1)) >= 20


def test_the_search_climbs() -> None:
    """Told that more tokens are better, it ends up with more than it began with."""
    sizes: list[float] = []

    def tell(trial: Trial) -> float:
        sizes.append(trial.vocab_size)
        return sizes[-1]

    search(trials(FAMILIES["medium"], Declaration()), tell, seed=0, at_most=200)
    part = len(sizes) // 4
    assert np.mean(sizes[-part:]) > np.mean(sizes[:part])


def test_the_users_profile_and_constants_change_nothing(tmp_path: Path) -> None:
    """Another process, another profile, a local module with constants of its own: the same proposals, no trace."""
    (tmp_path / "mine.py").write_text(f"NUMBERS = {list(range(200, 2_000, 7))}")
    program = """
import hypothesis
import mine
hypothesis.settings.register_profile("mine", max_examples=3, derandomize=True, verbosity=hypothesis.Verbosity.debug)
hypothesis.settings.load_profile("mine")
from tests.adversary.test_hunting import proposed
print("\\n".join(proposed(1)))
"""
    home = str(Path(spectest.__path__[0]).parent)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join([home, str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split() == proposed(1)
    assert not (tmp_path / ".hypothesis").exists()


def test_hypothesis_still_draws_constants_elsewhere() -> None:
    """What keeps them out of a search leaves other tests alone."""
    proposed(1, at_most=5)
    seen = set()

    @settings(max_examples=300, database=None, derandomize=True)
    @given(st.integers(0, 2**62))
    def draws(number: int) -> None:
        seen.add(number)

    draws()
    assert seen & set(GLOBAL_CONSTANTS.integers)


def test_it_hunts_inside_somebody_elses_given() -> None:
    outcomes = []

    @settings(max_examples=2, database=None, deadline=None, phases=(Phase.generate,))
    @given(st.integers(0, 3))
    def inner(seed: int) -> None:
        outcomes.append(spectest.hunt(special.correct, examples=5, seed=seed))

    inner()
    assert outcomes == [None] * len(outcomes)


def test_it_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert spectest.hunt(special.unverified(special.always), examples=100, seed=SEED) is not None
    assert capsys.readouterr() == ("", "")


def test_enough_ends_the_search() -> None:
    told = 0

    def tell(trial: Trial) -> float:
        nonlocal told
        told += 1
        if told == 3:
            raise Enough
        return 0.0

    search(trials(FAMILIES["small"], Declaration()), tell, seed=0, at_most=100)
    assert told == 3


def test_an_error_of_ours_is_not_swallowed() -> None:
    def tell(trial: Trial) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(trials(FAMILIES["small"], Declaration()), tell, seed=0, at_most=5)
