"""The sampling loop: which calls are made, on which memory, and whether the tallies are what came out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import stats

from spectest import Problem, drafting
from spectest.engine import Call, Experiment, InputMutated, LocalSession, Tally, prepare
from spectest.engine.executor import MAX_ELEMENTS, OPENING
from tests.engine.samples import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHA = 1e-9
LAWS = ("with_replacement", "without_replacement", "independent")


class Recorder:
    """A selector that keeps what it is given; `answer(p, q, ids)` is its answer, by default the first draft."""

    def __init__(self, answer: Callable[[Any, Any, Any], Any] | None = None) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []
        self._answer = answer or (lambda p, q, ids: ids[:, 0])

    def __call__(self, p: Any, q: Any, ids: Any, rng: Any) -> Any:
        """Answer."""
        self.calls.append((p, q, ids))
        return self._answer(p, q, ids)

    @property
    def sizes(self) -> list[int]:
        """Rows of each call."""
        return [len(ids) for _, _, ids in self.calls]

    @property
    def drafts(self) -> Any:
        """All drafts, in order."""
        return np.concatenate([np.asarray(ids) for _, _, ids in self.calls])


def sample(select: Any, experiment: Experiment, **declared: Any) -> Tally:
    """Run an experiment."""
    return LocalSession(select, {"array": "numpy", **declared}).sample(experiment)


def coded(problems: int, **options: Any) -> tuple[Any, ...]:
    """Return problems told apart by their target: problem k is all on token k."""
    n = options.pop("n_drafts", 2)
    return tuple(
        prepare(Problem(np.eye(5)[k], np.roll([0.4, 0.3, 0.1, 0.1, 0.1], k), n, **options), "float64")
        for k in range(problems)
    )


# --- drafts and tallies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("batched", [True, False])
def test_drafts_follow_their_joint_law(law: str, batched: bool) -> None:  # noqa: FBT001
    problem = prepared(drafting=law)
    recorder = Recorder(None if batched else lambda p, q, ids: int(ids[0]))
    samples = 20_000 if batched else 4_000
    sample(recorder, Experiment((problem,), samples, seed=int(time.time_ns())), batched=batched)
    seen = recorder.drafts.reshape(-1, 3)
    assert len(seen) == samples
    joint = drafting.get(law).joint_law(problem.problem)
    place = {tuple(row): k for k, row in enumerate(joint.tuples.tolist())}
    counts = np.bincount([place[tuple(row)] for row in seen.tolist()], minlength=len(joint.mass))
    large = joint.mass * samples >= 20
    observed = np.append(counts[large], counts[~large].sum())
    expected = np.append(joint.mass[large], joint.mass[~large].sum()) * samples
    keep = expected > 5
    assert stats.chisquare(observed[keep], expected[keep] * observed[keep].sum() / expected[keep].sum()).pvalue > ALPHA


def answers(p: Any, q: Any, ids: Any) -> Any:
    """Return an answer that is sometimes a draft, sometimes not: a function of the drafts."""
    return (ids * np.arange(1, ids.shape[1] + 1)).sum(1) % p.shape[1]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("how", ["free", "rows", "pattern", "shuffle", "alternate", "row"])
def test_tallies_are_an_independent_recount(law: str, how: str) -> None:
    problems = tuple(prepared(drafting=law) for _ in range(3))
    recorder = Recorder(answers)
    pattern = np.array([0, 1, 2, 2, 1, 1, 0])
    options: dict[str, Any] = {
        "free": {},
        "rows": {"rows": 9, "keep": True},
        "pattern": {"pattern": pattern, "keep": True},
        "shuffle": {"pattern": pattern, "shuffle": True, "keep": True},
        "alternate": {"alternate": True, "rows": 11, "keep": True},
        "row": {"pattern": pattern, "group": "row", "keep": True},
    }[how]
    single = how in {"free", "rows"}
    samples = 9 * 11 * 7 * 2
    tally = sample(recorder, Experiment(problems[:1] if single else problems, samples, seed=3, **options))
    assert tally.samples == samples == tally.counts.sum()
    assert tally.calls == len(recorder.calls)
    groups = 7 if how == "row" else 1 if single else 3
    assert tally.counts.shape == tally.accepted.shape == (groups, 5)
    every = [answers(*call) for call in recorder.calls]
    flat = np.concatenate(every)
    among = (recorder.drafts == flat[:, None]).any(1)
    assert 0 < among.sum() < samples
    assert tally.counts.sum(0).tolist() == np.bincount(flat, minlength=5).tolist()
    assert tally.accepted.sum(0).tolist() == np.bincount(flat[among], minlength=5).tolist()
    if options.get("keep"):
        assert np.array_equal(tally.outputs, np.stack(every))
    if how == "row":
        for row in range(7):
            assert tally.counts[row].tolist() == np.bincount(tally.outputs[:, row], minlength=5).tolist()
    if how == "alternate":
        for k in range(3):
            assert tally.counts[k].tolist() == np.bincount(tally.outputs[k::3].ravel(), minlength=5).tolist()
    if how == "pattern":
        for k in range(3):
            here = tally.outputs[:, pattern == k].ravel()
            assert tally.counts[k].tolist() == np.bincount(here, minlength=5).tolist()


def test_tallies_add_up() -> None:
    parts = [
        sample(Recorder(answers), Experiment((prepared(),), size, seed=size, rows=7, keep=True)) for size in (70, 35)
    ]
    both = parts[0].merge(parts[1])
    assert both.samples == 105
    assert both.calls == 15
    assert np.array_equal(both.counts, parts[0].counts + parts[1].counts)
    assert np.array_equal(both.accepted, parts[0].accepted + parts[1].accepted)


def test_drafts_of_one_problem_do_not_depend_on_the_others() -> None:
    """One stream each, so that a problem's drafts are the same in every company."""
    first, second = prepared(), prepared(drafting="without_replacement")
    pattern = np.array([0, 1, 0, 0, 1])
    mixed, alone = Recorder(), Recorder()
    sample(mixed, Experiment((first, second), 500, seed=4, pattern=pattern))
    sample(alone, Experiment((first,), 300, seed=4, pattern=np.zeros(3, dtype=np.int64)))
    assert np.array_equal(mixed.drafts.reshape(-1, 5, 3)[:, pattern == 0].reshape(-1, 3), alone.drafts)


# --- which problem a row holds -----------------------------------------------------------------------------------


def of_row(p: Any, q: Any, ids: Any) -> Any:
    """Return the token that row's target is all on: the number of its problem."""
    return p.argmax(1)


def test_pattern_and_shuffle() -> None:
    problems = coded(3)
    pattern = np.array([2, 0, 1, 1, 2, 2])
    fixed = Recorder(of_row)
    tally = sample(fixed, Experiment(problems, 60, seed=1, pattern=pattern, keep=True))
    assert (tally.outputs == pattern).all()
    assert tally.counts[[0, 1, 2], [0, 1, 2]].tolist() == [10, 20, 30]
    shuffled = sample(Recorder(of_row), Experiment(problems, 600, seed=1, pattern=pattern, shuffle=True, keep=True))
    assert (np.sort(shuffled.outputs, axis=1) == np.sort(pattern)).all()
    assert len(np.unique(shuffled.outputs, axis=0)) > 10
    assert shuffled.counts[[0, 1, 2], [0, 1, 2]].tolist() == [100, 200, 300]
    for p, q, _ in fixed.calls:
        for row, k in enumerate(pattern):
            assert np.array_equal(p[row], problems[k].target)
            assert np.array_equal(q[row], problems[k].draft)
    by_row = sample(Recorder(of_row), Experiment(problems, 60, seed=1, pattern=pattern, group="row"))
    assert by_row.counts.shape == (6, 5)
    assert (by_row.counts.argmax(1) == pattern).all()


def test_alternate_calls_share_their_memory() -> None:
    pointers: set[tuple[int, ...]] = set()
    seen = []

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        pointers.add((p.data_ptr(), q.data_ptr(), *p.shape))
        seen.append(int(p[0].argmax()))
        assert p.is_contiguous()
        assert q.is_contiguous()
        assert bool((p.argmax(1) == seen[-1]).all())
        assert np.array_equal(q[-1].numpy(), coded(3)[seen[-1]].draft)
        return p.argmax(1)

    tally = sample(select, Experiment(coded(3), 70, seed=1, alternate=True, rows=10), array="torch", broadcast=True)
    assert seen == [0, 1, 2, 0, 1, 2, 0]
    assert len(pointers) == 1
    assert tally.counts[[0, 1, 2], [0, 1, 2]].tolist() == [30, 20, 20]


# --- which calls are made ----------------------------------------------------------------------------------------


def test_schedule() -> None:
    recorder = Recorder()
    tally = sample(recorder, Experiment((prepared(),), 150_000, seed=1))
    assert recorder.sizes[:4] == list(OPENING) == [1, 63, 67, 1031]
    assert sum(recorder.sizes) == 150_000
    assert len(set(recorder.sizes[4:-1])) <= 1
    assert max(recorder.sizes) == tally.rows
    small = Recorder()
    sample(small, Experiment((prepared(),), 40, seed=1))
    assert small.sizes == [1, 39]
    even = Recorder()
    assert sample(even, Experiment((prepared(),), 100, seed=1, rows=30)).rows == 30
    assert even.sizes == [30, 30, 30, 10]


@pytest.mark.parametrize("vocab_size", [1, 5, 1000, 40_000])
@pytest.mark.parametrize("array", ["numpy", "torch"])
def test_calls_are_contiguous_and_within_the_contract(vocab_size: int, array: str) -> None:
    law = np.full(vocab_size, 1 / vocab_size)
    problem = prepare(Problem(law, law, 3), "float64")
    largest = []

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        for item in (p, q, ids):
            assert item.is_contiguous() if array == "torch" else item.flags.c_contiguous
            assert array == "torch" or item.flags.writeable
        largest.append(q.numel() if array == "torch" else q.size)
        return ids[:, 0]

    sample(select, Experiment((problem,), 20_000 if vocab_size < 10_000 else 100, seed=1), array=array)
    assert max(largest) <= MAX_ELEMENTS


@pytest.mark.parametrize("array", ["numpy", "torch"])
@pytest.mark.parametrize("law", ["with_replacement", "independent"])
def test_views_for_those_who_ask(array: str, law: str) -> None:
    problem = prepared(drafting=law)

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        strides = [item.stride() if array == "torch" else tuple(s // 8 for s in item.strides) for item in (p, q)]
        assert strides[0][0] == 0 or len(p) == 1
        assert strides[1][0] == 0 or len(p) == 1
        assert (strides[1][1] == 0) is (law == "with_replacement")
        assert tuple(q.shape) == (len(ids), 3, 5)
        assert np.array_equal(np.asarray(q[-1]), problem.draft)
        return ids[:, 0]

    sample(select, Experiment((problem,), 70_000, seed=1), array=array, broadcast=True)


def test_a_slow_selector_gets_small_calls() -> None:
    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        time.sleep(len(ids) * 2e-3)
        return ids[:, 0]

    recorder = Recorder()
    started = time.perf_counter()
    tally = sample(lambda *a: (recorder(*a), select(*a))[1], Experiment((prepared(),), 10**6, seed=1, seconds=0.3))
    assert time.perf_counter() - started < 5
    assert 1 <= tally.rows <= 500
    assert tally.samples == sum(recorder.sizes) < 10_000


def test_the_clock_stops_it_but_not_before_a_call() -> None:
    for options in ({}, {"pattern": np.zeros(4, dtype=np.int64)}, {"rows": 5}):
        tally = sample(Recorder(), Experiment((prepared(),), 10**9, seed=1, seconds=1e-9, **options))  # type: ignore[arg-type]
        assert tally.calls == 1
    started = time.perf_counter()
    sample(Recorder(), Experiment((prepared(),), 10**9, seed=1, seconds=0.2))
    assert 0.2 < time.perf_counter() - started < 3


def test_the_cap_of_a_replay_repeats_the_calls() -> None:
    """Also where the engine chose less than the opening calls had."""

    def slowly(seconds: float) -> Callable[..., Any]:
        def answer(p: Any, q: Any, ids: Any) -> Any:
            if seconds:
                time.sleep(len(ids) * seconds)
            return ids[:, 0]

        return answer

    experiment = Experiment((prepared(),), 400, seed=1)
    for seconds in (0.0, 4e-3):
        recorder, again = Recorder(slowly(seconds)), Recorder()
        tally = sample(recorder, experiment)
        sample(again, replace(experiment, cap=tally.rows))
        assert again.sizes == recorder.sizes
        assert np.array_equal(again.drafts, recorder.drafts)
    small = Recorder()
    sample(small, replace(experiment, cap=20))
    assert small.sizes == [1, 63, 67, *[20] * 13, 9]


def test_progress_is_told() -> None:
    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        time.sleep(0.06)
        return ids[:, 0]

    told: list[int] = []
    started = time.perf_counter()
    LocalSession(select, {"array": "numpy"}).sample(Experiment((prepared(),), 60, seed=1, rows=5), told.append)
    assert 1 <= len(told) <= (time.perf_counter() - started) / 0.2
    assert told == sorted(told)
    assert all(0 < samples <= 60 for samples in told)


def randomly(p: Any, q: Any, ids: Any, rng: Any) -> Any:
    """Draw from the target."""
    return torch.multinomial(p, 1, generator=rng)[:, 0]


@pytest.mark.parametrize(
    "options",
    [
        {"cap": 1000},
        {"rows": 50, "keep": True},
        {"pattern": np.arange(7) % 3, "shuffle": True, "keep": True},
        {"alternate": True, "rows": 20, "keep": True},
    ],
)
def test_the_seed_decides_everything(options: dict[str, Any]) -> None:
    problems = tuple(prepared() for _ in range(1 if options.keys() <= {"cap", "rows", "keep"} else 3))

    def run(seed: int) -> Tally:
        return LocalSession(randomly).sample(Experiment(problems, 4200, seed=seed, **options))

    first, again, other = run(8), run(8), run(9)
    assert np.array_equal(first.counts, again.counts)
    assert np.array_equal(first.accepted, again.accepted)
    assert np.array_equal(first.outputs, again.outputs)
    assert not np.array_equal(first.counts, other.counts)


def test_the_drafts_and_the_selector_have_streams_of_their_own() -> None:
    """A selector that draws as the drafts were drawn must not come to the same ids."""

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        return drafting.get("with_replacement").sampler(prepared().problem)(rng, len(ids))[:, 0]

    tally = sample(select, Experiment((prepared(n_drafts=1),), 3000, seed=2, rows=1000))
    law = prepared().problem.draft
    assert stats.binomtest(int(tally.accepted.sum()), 3000, float((law**2).sum())).pvalue > ALPHA


# --- writes that no version counter sees -------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [None, 1e-9])
@pytest.mark.parametrize(
    "options",
    [{}, {"rows": 8}, {"pattern": np.arange(6) % 2}, {"alternate": True, "rows": 8}],
    ids=["free", "rows", "pattern", "alternate"],
)
def test_writes_are_caught_in_every_kind_of_experiment(options: dict[str, Any], seconds: float | None) -> None:
    """Also in one that the clock stops."""

    def select(p: Any, q: Any, ids: Any, rng: Any) -> Any:
        q[-1, 0, 0] += 0.25
        return ids[:, 0]

    with pytest.raises(InputMutated, match="draft_probs"):
        sample(select, Experiment(tuple(prepared() for _ in range(2)), 400, seed=1, seconds=seconds, **options))


def test_drafts_given_or_drawn() -> None:
    problems, pattern = coded(3), np.array([0, 2, 1, 0])
    given = np.array([[4, 3], [2, 1], [0, 0], [1, 2]])
    session = LocalSession(Recorder(), {"array": "numpy"})
    outcome = session.call(Call(problems, pattern, 1, ids=given))
    assert np.array_equal(outcome.ids, given)
    assert outcome.tokens.tolist() == [4, 2, 0, 1]
    drawn = [session.call(Call(problems, pattern, 1, draft_seed=seed)).ids for seed in (7, 7, 8, 9, 10)]
    assert np.array_equal(drawn[0], drawn[1])
    assert any(not np.array_equal(drawn[0], other) for other in drawn[2:])
