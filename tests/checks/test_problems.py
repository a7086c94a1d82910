"""The problems of a run: valid for every law and number of drafts, and the same wherever they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from spectest import checks
from spectest.checks.edge_problems import FULL_SIZE_EDGES, edge_names, edge_problem
from spectest.checks.problems import (
    build,
    main_names,
    main_problem,
    rows_problems,
    support_problem,
)
from spectest.declaration import Declaration
from spectest.drafting import get
from spectest.engine import prepare
from spectest.problem import DRAFTING, Problem
from tests.checks.bench import SMALL, with_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

LAWS = tuple(DRAFTING)
MANY = tuple(range(1, 6))


def declared(drafting: str = "with_replacement", n_drafts: int = 3, **more: object) -> Declaration:
    """Return a declaration; `hub` has two drafts whatever is asked for."""
    n_drafts = DRAFTING[drafting].fixed_drafts or n_drafts
    return Declaration(drafting=drafting, n_drafts=n_drafts, **more)  # type: ignore[arg-type]


def every(settings: object, declaration: Declaration) -> Iterator[Problem]:
    """Return every kind of problem of a run."""
    for name in main_names(SMALL):
        yield main_problem(name, settings, declaration)  # type: ignore[arg-type]
    for name in edge_names():
        yield edge_problem(name, settings, declaration)  # type: ignore[arg-type]
    for size in (5, 33, 130):
        yield support_problem(size, settings, declaration)  # type: ignore[arg-type]
    yield from rows_problems(8, 6, settings, declaration, "some")  # type: ignore[arg-type]
    yield from rows_problems(11, 6, settings, declaration, "positions")  # type: ignore[arg-type]


@pytest.mark.parametrize("drafting", LAWS)
@pytest.mark.parametrize("n", MANY)
def test_valid_and_deterministic_for_every_law_and_number_of_drafts(drafting: str, n: int) -> None:
    declaration = declared(drafting, n)
    problems, again = list(every(SMALL, declaration)), list(every(SMALL, declaration))
    others = list(every(with_seed(SMALL.seed + 1), declaration))
    for problem, same in zip(problems, again, strict=True):
        assert repr(problem) == repr(same)
        assert np.array_equal(problem.target, same.target)
        assert np.array_equal(problem.draft, same.draft)
        assert problem.drafting == drafting
        rule, support = DRAFTING[drafting], int((problem.draft_rows[0] > 0).sum())
        wanted = rule.fixed_drafts or (1 if problem.name == "one-draft" else n)
        wanted = min(wanted, support) if rule.distinct else wanted
        assert problem.n_drafts == wanted
        drafts = get(drafting).sampler(problem)(np.random.default_rng(0), 5)
        assert (problem.draft_rows[np.arange(wanted), drafts] > 0).all()
    mains = len(main_names(SMALL))
    for problem, other in zip(problems[:mains], others[:mains], strict=True):
        assert not np.array_equal(problem.target, other.target)
    permuted = [not np.array_equal(a.target, b.target) for a, b in zip(problems[mains:], others[mains:], strict=True)]
    assert sum(permuted) > len(permuted) / 2


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("drafting", LAWS)
def test_every_precision_can_hold_them(dtype: str, drafting: str) -> None:
    """And the problems of one batch keep one (n, V), rounded."""
    declaration = declared(drafting)
    for problem in every(SMALL, declaration):
        assert prepare(problem, dtype).problem.n_drafts >= 1  # type: ignore[arg-type]
    for label in ("some", "positions"):
        rows = [prepare(item, dtype) for item in rows_problems(11, 6, SMALL, declaration, label)]  # type: ignore[arg-type]
        assert len({item.draft.shape for item in rows}) == 1


def test_how_a_selector_is_called_changes_no_problem() -> None:
    plain = list(every(SMALL, declared()))
    for more in ({"array": "numpy"}, {"dtype": "float32"}, {"batched": False}, {"rng": "seed"}, {"lossless": False}):
        for problem, other in zip(plain, every(SMALL, declared(**more)), strict=True):  # type: ignore[arg-type]
            assert np.array_equal(problem.target, other.target)
            assert np.array_equal(problem.draft, other.draft)
    for name in edge_names():  # nor does the drafting law change the target
        targets = [edge_problem(name, SMALL, declared(drafting)).target for drafting in LAWS]
        assert all(np.array_equal(targets[0], target) for target in targets)


def test_edges_are_what_they_are_called() -> None:
    def edge(name: str, drafting: str = "with_replacement") -> Problem:
        return edge_problem(name, SMALL, declared(drafting))

    assert set(edge_names()) > FULL_SIZE_EDGES
    assert np.array_equal(edge("equal").target, edge("equal").draft)
    assert edge("one-token").vocab_size == 1
    assert edge("one-draft").n_drafts == 1
    for name in ("one-hot-target", "one-hot-both", "one-hot-apart"):
        assert edge(name).target.max() == 1
    for name in ("disjoint", "one-hot-apart"):
        assert edge(name).target @ edge(name).draft == 0
    assert edge("one-hot-draft", "without_replacement").n_drafts == 1
    tiny = edge("tiny-masses")
    assert sorted(tiny.target)[:2] == [1e-300, 1e-30]
    assert len(np.unique(edge("ties").target)) == 2
    independent = edge("disjoint", "independent")
    assert (independent.draft[:, independent.target > 0] == 0).all()
    assert len(np.unique(independent.draft[:, independent.target == 0], axis=0)) == 3


@pytest.mark.parametrize("vocab", [(5, 17), (5, 32_000)])
def test_the_sparse_edge_is_as_wide_as_the_main_problems(vocab: tuple[int, ...]) -> None:
    problem = edge_problem("sparse", replace(SMALL, vocab=vocab), declared())
    assert problem.vocab_size == max(1009, *vocab)
    p, q = problem.target > 0, problem.draft > 0
    assert (p.sum(), q.sum(), (p & q).sum()) == (50, 40, 30)
    assert np.flatnonzero(p).max() > problem.vocab_size / 2


@pytest.mark.parametrize("size", [5, 33, 130])
def test_support_has_every_kind_of_zero(size: int) -> None:
    problem = support_problem(size, SMALL, declared())
    p, q = problem.target > 0, problem.draft > 0
    assert (~p & ~q).any()
    assert (~p & q).any()
    assert (p & q).any()
    assert not p[0]
    assert not p[-1]


@pytest.mark.parametrize("count", [8, 11])
def test_rows_tell_each_other_apart(count: int) -> None:
    """A row answered from another's target is far from its own, whichever of them it is, or nearly."""
    problems = rows_problems(count, 6, SMALL, declared(), "some")
    apart = [
        np.abs(one.target - other.target).sum() / 2 for k, one in enumerate(problems) for other in problems[k + 1 :]
    ]
    assert np.mean(np.array(apart) > 0.2) > 0.6
    assert any(problem.target.max() == 1 for problem in problems)
    assert any(np.array_equal(problem.target, problem.draft) for problem in problems)


def test_build_permutes_ids() -> None:
    generator = np.random.default_rng()
    target, draft = np.arange(1.0, 51) / 1275, np.arange(50.0, 0, -1) / 1275
    problem = build(target, draft, declared(), generator, "x")
    order = np.argsort(problem.target)
    assert not np.array_equal(order, np.arange(50))
    assert np.allclose(problem.target + problem.draft, 51 / 1275)
    kept = build(target, draft, declared(), generator, "x", order=np.arange(50), n=2)
    assert np.allclose(kept.target, target)
    assert kept.n_drafts == 2


def test_the_users_own_problem_takes_the_place_of_the_main_ones() -> None:
    from dataclasses import replace

    own = Problem([0.2, 0.8], [0.5, 0.5], 3)
    settings = replace(SMALL, problem=own)
    assert main_names(settings) == ("V2",)
    assert main_problem("V2", settings, declared()) is own
    assert checks.get("law").cases(settings) == checks.get("acceptance").cases(settings) == ("V2",)
    assert checks.get("edge").cases(settings) == checks.get("edge").cases(SMALL)


@pytest.mark.parametrize("size", [2, 5, 64, 300])
def test_main_problems_can_be_tested(size: int) -> None:
    """Every token is common enough to be tested by itself, and the drafts are worth something but not everything."""
    for drafting in LAWS:
        problem = main_problem(f"V{size}", SMALL, declared(drafting))
        assert problem.vocab_size == size
        assert problem.target.min() >= 0.05 / size
        overlap = float(np.minimum(problem.target, problem.draft_rows[0]).sum())
        assert 0.1 < overlap < 0.98


# --- cases, cost, applies ----------------------------------------------------------------------------------------


def test_the_plan_depends_on_the_settings_alone() -> None:
    """The same list, in the same order, on every worker and for every seed."""
    for check in checks.select():
        cases = check.cases(SMALL)
        assert cases == checks.get(check.name).cases(with_seed(SMALL.seed + 1))
        assert len(set(cases)) == len(cases) > 0
        assert check.weight >= 0
        assert check.summary
        for case in cases:
            assert check.cost(case, SMALL) == check.cost(case, with_seed(1)) >= 0
    assert [check.name for check in checks.select()] == list(checks.CHECKS)
    assert [check.name for check in checks.select(["law", "smoke"])] == ["smoke", "law"]


def test_only_a_batch_makes_batch_checks_apply() -> None:
    """Whatever a check needs, one that declares it all is given every case; one position a call has some in each."""
    all_of_it = {"rng": "uniforms", "broadcast": True, "propose": "package:drafts"}
    batched, single = declared(**all_of_it), declared(batched=False, n_drafts=1, **all_of_it)
    for check in checks.select():
        assert all(check.applies(case, batched) for case in check.cases(SMALL)), check.name
        some = [check.applies(case, single) for case in check.cases(SMALL)]
        assert any(some) != (check.name in {"batch", "mixture"}), check.name
    assert not checks.get("edge").applies("one-draft", single)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("injection", {"rng": "uniforms"}),
        ("proposal", {"propose": "package:drafts"}),
        ("seam", {"propose": "package:drafts"}),
    ],
)
def test_some_checks_are_for_those_who_declare_what_they_need(name: str, needs: dict[str, object]) -> None:
    check = checks.get(name)
    assert not any(check.applies(case, declared()) for case in check.cases(SMALL))
    assert all(check.applies(case, declared(**needs)) for case in check.cases(SMALL))


def test_unknown_checks() -> None:
    from spectest.errors import UsageError

    with pytest.raises(UsageError, match="unknown check 'lawful'; there are smoke, determinism"):
        checks.get("lawful")
    with pytest.raises(UsageError, match="unknown check"):
        checks.select(["law", "lawful"])
