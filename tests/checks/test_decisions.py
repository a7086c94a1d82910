"""Staged decisions: their level, their power, and the δ that is published, on tallies drawn from known laws."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from spectest import Problem
from spectest.checks.base import Context, Settings, Shared
from spectest.checks.decision import FIRST_STAGE, decide, grown, stage_levels
from spectest.checks.judging import early_stop
from spectest.checks.law import Law
from spectest.checks.laws import law_samples, law_tests
from spectest.engine import SelectorRaised, Tally
from spectest.stats import chi_squared_detectable, chi_squared_test
from tests.checks.bench import ALPHA, SMALL, drawn, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

pytestmark = pytest.mark.long

LAW = np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03])
QUICK = Settings(alpha=1e-6, delta=1e-2, beta=1e-3, seed=0, vocab=(5,), small=12_000, calls=800)


def drawing(law: Vector, samples: int, generator: np.random.Generator) -> Callable[[int, float], Tally]:
    """Return a source of tallies of a law."""

    def draw(stage: int, level: float) -> Tally:
        tally = Tally.empty(1, law.size)
        tally.counts += generator.multinomial(samples, law)
        return tally

    return draw


def merged_tests(null: Vector, count: int) -> dict[str, Callable[[Tally, float], Any]]:
    """Return `count` χ² tests, each of the table with another pair of cells merged."""

    def tester(k: int) -> Callable[[Tally, float], Any]:
        cells = np.arange(null.size)
        cells[k] = cells[(k + 1) % null.size]
        law = np.bincount(cells, weights=null, minlength=null.size)

        def test(tally: Tally, level: float) -> Any:
            counts = np.zeros(null.size, dtype=np.int64)
            np.add.at(counts, cells, tally.counts[0])
            return chi_squared_test(counts[law > 0], law[law > 0], alpha=level)

        return test

    return {f"without {k}": tester(k) for k in range(count)}


def allowed(rate: float, runs: int) -> int:
    """Return how many of `runs` events of at most this rate are no surprise (one in 1e9)."""
    return int(stats.binom.isf(1e-9, runs, rate))


@pytest.mark.parametrize(
    ("alpha", "runs", "tests"),
    [(1e-6, 10_000, 1), (1e-6, 2_000, 3), (1e-2, 3_000, 1), (0.05, 3_000, 1), (0.05, 3_000, 3), (0.5, 1_000, 1)],
)
def test_false_alarms_are_within_alpha(alpha: float, runs: int, tests: int) -> None:
    """Of all tests together, by stages and by the shortcut for flagrant defects together."""
    generator = np.random.default_rng()
    draw, hypotheses = drawing(LAW, 5_000, generator), merged_tests(LAW, tests)
    alarms = sum(bool(decide(alpha, hypotheses, draw).rejected) for _ in range(runs))
    assert alarms <= allowed(alpha, runs)
    if alpha > 0.02 and tests == 1:
        assert alarms >= stats.binom.isf(1 - 1e-9, runs, alpha / 4)  # nor is α thrown away


class Fixed:
    """The result of a test whose p-value is given."""

    def __init__(self, p_value: float, level: float) -> None:
        """Compare."""
        self.p_value, self.rejected = p_value, p_value <= level


def test_the_level_is_alpha_exactly_where_p_values_are_uniform() -> None:
    """By the arithmetic of the rule: P(first <= α/2m) + P(first <= 1e-3) P(second <= level), no more than α/m."""
    for alpha, tests in ((1e-6, 1), (1e-4, 7), (1e-9, 100)):
        levels: list[float] = []

        def draw(stage: int, level: float, levels: list[float] = levels) -> Tally:
            levels.append(level)
            return Tally.empty(1, 1)

        decide(alpha, {str(k): lambda tally, level: Fixed(level, level) for k in range(tests)}, draw)
        assert levels[0] == FIRST_STAGE
        assert len(levels) == 2
        assert levels[0] * levels[1] + alpha / tests / 2 <= alpha / tests * (1 + 1e-12)
        assert levels[0] * levels[1] >= alpha / tests / 2 * (1 - 1e-9)


@pytest.mark.parametrize(
    ("p_values", "rejected", "stages"),
    [
        ((0.5, None), (), 1),
        ((1.001e-3, None), (), 1),
        ((0.9e-3, 0.5), (), 2),
        ((0.9e-3, 1e-8), ("a",), 2),
        ((1e-20, None), ("a",), 1),
        ((0.0, None), ("a",), 1),
    ],
)
def test_stages(p_values: tuple[float, float | None], rejected: tuple[str, ...], stages: int) -> None:
    drawn_stages: list[int] = []

    def draw(stage: int, level: float) -> Tally:
        drawn_stages.append(stage)
        tally = Tally.empty(1, 1)
        tally.calls = stage
        return tally

    def test(tally: Tally, level: float) -> Fixed:
        found = p_values[tally.calls]
        assert found is not None
        return Fixed(found, level)

    decision = decide(1e-6, {"a": test, "b": lambda tally, level: Fixed(1.0, level)}, draw)
    assert decision.rejected == rejected
    assert drawn_stages == list(range(stages))
    assert decision.worst == "a"
    drawn = [p for p in p_values[:stages] if p is not None]
    assert decision.p_value == pytest.approx(np.prod(drawn) if rejected else drawn[-1])
    assert len(decision.tallies) == stages


def test_only_what_stage_one_rejects_is_tested_again() -> None:
    """A test that passed once cannot fail the case later."""
    seen: list[tuple[str, int]] = []

    def tester(name: str, first: float) -> Callable[[Tally, float], Fixed]:
        def test(tally: Tally, level: float) -> Fixed:
            seen.append((name, tally.calls))
            return Fixed(first if tally.calls == 0 else 0.0, level)

        return test

    def draw(stage: int, level: float) -> Tally:
        tally = Tally.empty(1, 1)
        tally.calls = stage
        return tally

    decision = decide(1e-6, {"suspect": tester("suspect", 1e-4), "clean": tester("clean", 0.2)}, draw)
    assert decision.rejected == ("suspect",)
    assert seen == [("suspect", 0), ("clean", 0), ("suspect", 1)]


# --- law: power, level, δ ----------------------------------------------------------------------------------------


def spread(delta: float) -> Callable[[Vector], Vector]:
    """Return the deviation of total variation δ that is hardest to see: p (1 ± c) on two halves."""

    def law(target: Vector) -> Vector:
        order = np.argsort(-target)
        upper = np.zeros(target.size, dtype=bool)
        for token in order:  # as close to one half as a greedy choice comes
            if target[upper].sum() + target[token] <= 0.5:
                upper[token] = True
        mass = target[upper].sum()
        return np.where(upper, target * (1 + delta / mass), target * (1 - delta / (1 - mass)))

    return law


def problem_of(vocab_size: int) -> Problem:
    """Return a problem that is no harder to test than the main ones: no token is rare."""
    generator = np.random.default_rng()
    target = 0.9 * generator.dirichlet(np.ones(vocab_size)) + 0.1 / vocab_size
    return Problem(target, generator.dirichlet(np.ones(vocab_size)), 3, name="mine")


@pytest.mark.parametrize("vocab_size", [2, 16, pytest.param(64, marks=pytest.mark.slow)])
def test_law_finds_the_hardest_deviation_of_delta(vocab_size: int) -> None:
    """At the N it was designed for, and in a run's smallest share of α, missed with probability β each."""
    runs = 80
    problem = problem_of(vocab_size)
    settings = replace(QUICK, problem=problem)
    session = drawn(law=spread(settings.delta))
    shifted = session.law(problem.target)
    assert np.abs(shifted - problem.target).sum() / 2 == pytest.approx(settings.delta)
    missed = sum(run("law", "mine", session, settings, alpha=2e-9).verdict != "fail" for _ in range(runs))
    assert missed <= allowed(settings.beta, runs)


def test_law_at_a_large_vocabulary_finds_what_its_partitions_see() -> None:
    problem = problem_of(300)
    tests = law_tests(problem)
    assert set(tests.binding) == {"rank", "ratio"}
    cells = tests.maps["rank"]

    def law(target: Vector) -> Vector:
        """Move δ between cells of the partition: between halves of them."""
        upper = np.isin(cells, np.flatnonzero(np.cumsum(tests.probabilities("rank")) <= 0.5))
        mass = target[upper].sum()
        return np.where(upper, target * (1 + 1e-2 / mass), target * (1 - 1e-2 / (1 - mass)))

    settings = replace(QUICK, problem=problem)
    missed = sum(run("law", "mine", drawn(law=law), settings, alpha=2e-9).verdict != "fail" for _ in range(40))
    assert missed <= allowed(settings.beta, 40)


@pytest.mark.parametrize("vocab_size", [2, 30, 300])
def test_law_raises_no_false_alarm(vocab_size: int) -> None:
    settings = replace(QUICK, problem=problem_of(vocab_size))
    assert settings.problem is not None
    found = [run("law", "mine", drawn(), settings) for _ in range(60)]
    assert {item.verdict for item in found} == {"pass"}
    assert all(item.delta is not None and 0 < item.delta <= settings.delta for item in found)
    first = law_samples(settings.problem, settings, 0)
    again = sum(item.samples > first for item in found)
    assert again <= allowed(min(1.0, 1.1 * len(law_tests(settings.problem).names) * FIRST_STAGE), 60)


@pytest.mark.parametrize("vocab_size", [5, 300])
def test_what_is_flagrant_ends_early_and_what_is_not_does_not(vocab_size: int) -> None:
    settings = replace(QUICK, problem=problem_of(vocab_size), delta=2e-3)
    assert settings.problem is not None
    first = law_samples(settings.problem, settings, 0)
    flagrant = run("law", "mine", drawn(law=spread(0.1)), settings)
    assert flagrant.verdict == "fail"
    assert flagrant.samples <= first / 20
    assert flagrant.p_value is not None
    assert flagrant.p_value < ALPHA
    assert run("law", "mine", drawn(), settings).samples >= first


@pytest.mark.parametrize("vocab_size", [2, 12])
def test_the_published_delta_is_what_is_found(vocab_size: int) -> None:
    """Far below it nothing is seen, at it almost everything is; with however many samples there were."""
    problem = problem_of(vocab_size)
    for share in (1.0, 0.1):
        settings = replace(QUICK, problem=problem)
        samples = round(law_samples(problem, settings, 0) * share)
        most = samples if share < 1 else None
        passed = run("law", "mine", drawn(most=most), settings, alpha=1e-8)
        assert passed.delta is not None
        assert (passed.verdict == "pass") is (passed.delta <= settings.delta) is (share == 1.0)
        deviating = drawn(law=spread(passed.delta))
        # The first stage alone has this δ; the second, drawn on suspicion, is larger by design.
        context = Context(deviating, settings, 1e-8)
        missed = 0
        for _ in range(60):
            tally = deviating.sample(type("E", (), {"samples": samples, "problems": context.prepare(problem)}))  # type: ignore[arg-type]
            missed += chi_squared_test(tally.counts[0], problem.target, alpha=FIRST_STAGE).p_value > FIRST_STAGE
        assert missed <= allowed(settings.beta / 2, 60)
        barely = run("law", "mine", drawn(law=spread(passed.delta / 30), most=most), settings, alpha=1e-8)
        assert barely.verdict != "fail"


def test_the_delta_of_the_first_stage_is_found_by_all_of_them() -> None:
    """What the first stage misses with probability β/2 is missed with at most β, though others must confirm it."""
    law, size, groups, beta, runs = np.array([0.33, 0.33, 0.34]), 800, 11, 1e-3, 3_000
    alpha = 1e-8
    level = stage_levels(alpha, groups)[0]
    delta = chi_squared_detectable(law, samples=size, alpha=level, beta=beta / 2)
    wrong = law + delta * np.array([-0.5, -0.5, 1.0])
    generator = np.random.default_rng()

    def draw(stage: int, level: float) -> Tally:
        del level
        tally = Tally.empty(groups, law.size)
        for group in range(groups):
            tally.counts[group] = generator.multinomial(grown(size, stage), law if group else wrong)
        return tally

    def tester(group: int) -> Any:
        return lambda tally, level: chi_squared_test(tally.counts[group], law, alpha=level)

    tests = {str(group): tester(group) for group in range(groups)}
    missed = sum(not decide(alpha, tests, draw).rejected for _ in range(runs))
    assert missed <= allowed(beta, runs)


def test_what_is_read_while_it_is_drawn_is_read_within_its_level() -> None:
    """Evidence and tests together, at every doubling, on exact multinomials."""
    problem, level, runs = problem_of(20), 0.05, 200
    context = Context(drawn(), replace(QUICK, problem=problem), ALPHA)
    early = early_stop(context, law_tests(problem))
    assert early is not None
    early = replace(early, level=level)
    generator = np.random.default_rng()
    alarms = 0
    for _ in range(runs):
        tally = Tally.empty(1, problem.vocab_size)
        for samples in (2**15, 2**15, 2**16, 2**17, 2**18):
            tally.counts += generator.multinomial(samples, problem.target)
            if early.enough(tally):
                alarms += 1
                break
    assert alarms <= allowed(level, runs)


def test_one_token_of_many_ends_a_large_sample_early() -> None:
    """What no partition of at most 64 cells shows is seen by the tests, long before the sample is complete."""
    problem = Problem(np.full(4_000, 1 / 4_000), np.full(4_000, 1 / 4_000), 3, name="mine")
    settings = replace(QUICK, problem=problem, delta=2e-3)

    def law(target: Vector) -> Vector:
        changed = target * (1 - 5e-4)
        changed[1234] += 5e-4
        return changed

    session = drawn(law=law)
    found = run("law", "mine", session, settings)
    assert found.verdict == "fail"
    assert found.samples < law_samples(problem, settings, 0) / 4


def test_fewer_samples_than_designed_are_inconclusive_never_a_pass() -> None:
    settings = replace(QUICK, problem=problem_of(10))
    assert settings.problem is not None
    designed = law_samples(settings.problem, settings, 0)
    for share in (0.5, 0.01, 1e-4):
        found = run("law", "mine", drawn(most=round(designed * share)), settings)
        assert found.verdict == "inconclusive"
        assert found.delta is not None
        assert found.delta > settings.delta
        assert f"a deviation of {found.delta:.3g} would show" in found.detail
    assert run("law", "mine", drawn(most=0), settings).verdict == "inconclusive"
    flagrant = run("law", "mine", drawn(most=designed // 100, law=spread(0.3)), settings)
    assert flagrant.verdict == "fail"  # few samples are enough to see that


def test_one_impossible_token_fails_law() -> None:
    problem = Problem([0.5, 0.5, 0.0], [0.2, 0.3, 0.5], 3, name="mine")

    def law(target: Vector) -> Vector:
        return np.array([0.5, 0.499, 0.001])

    found = run("law", "mine", drawn(law=law), replace(QUICK, problem=problem))
    assert found.verdict == "fail"
    assert "token 2 has probability 0 and was emitted" in found.detail


def test_a_deviation_by_design_never_fails() -> None:
    settings = replace(QUICK, problem=problem_of(10))
    found = run("law", "mine", drawn(law=spread(0.3), declared={"lossless": False}), settings)
    assert found.verdict == "pass"
    assert found.detail.startswith("deviates by design (lossless=False): total variation 0.")


def test_a_tolerated_deviation_passes_and_a_larger_one_does_not() -> None:
    """TV of at most tolerance / 2 has χ² of at most tolerance², where it is spread."""
    problem = Problem([0.25] * 4, [0.25] * 4, 3, name="mine")
    settings = replace(QUICK, problem=problem, delta=0.02)
    for size, expected in ((0.0045, "pass"), (0.03, "fail")):
        session = drawn(law=spread(size), declared={"tolerance": 0.01})
        assert run("law", "mine", session, settings).verdict == expected
    assert run("law", "mine", drawn(law=spread(0.03)), settings).verdict == "fail"


# --- shared tallies ----------------------------------------------------------------------------------------------


def test_law_and_acceptance_read_one_sample() -> None:
    settings = replace(QUICK, problem=Problem([0.5, 0.5], [0.5, 0.5], 1, name="mine"))
    session, shared = drawn(accepting=0.99), Shared()
    law = run("law", "mine", session, settings, shared=shared)
    experiments = session.experiments
    acceptance = run("acceptance", "mine", session, settings, shared=shared)
    assert {law.verdict, acceptance.verdict} == {"pass"}
    assert session.experiments <= experiments + 1  # once in a thousand times a second stage of its own
    assert isinstance(Law(), Law)


def test_a_shared_fault_is_everybodys() -> None:
    shared, calls = Shared(), []

    def draw() -> Tally:
        calls.append(1)
        msg = "once"
        raise SelectorRaised(msg)

    for _ in range(2):
        with pytest.raises(SelectorRaised, match="once"):
            shared.get(("V5", 0), draw)
    assert len(calls) == 1
    assert SMALL.alpha > 0
