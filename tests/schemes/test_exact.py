"""`acceptance` and `output_law` against published fractions and against enumeration in fractions."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectest import Problem, ProblemTooLarge, drafting, schemes
from tests.schemes import enumeration as exact
from tests.schemes.enumeration import Instance, Law, instance, law

REJECTION = schemes.get("recursive_rejection")
CLOSE = 1e-14

#: mathematics: the certified fractions for recursive rejection with and without replacement.
GOLDEN: list[tuple[str, tuple[Law, Law], int, str, str]] = [
    ("P1", exact.P1, 2, "169277/200000", "192754417/200130000"),
    ("P2", exact.P2, 3, "207227133/250000000", "1"),
    ("P3", exact.P3, 2, "5313/6250", "1"),
    ("P4", exact.P4, 3, "137542321/250000000", "76025810217187/101241861840000"),
    ("P5", exact.P5, 2, "23/27", "1"),
    ("P6", exact.P6, 1, "14/25", "14/25"),
    ("P6", exact.P6, 2, "468/625", "13339/17670"),
    ("P6", exact.P6, 3, "23557/31250", "5101546661/6632876250"),
    ("P7", exact.P7, 2, "22/27", "31/36"),
]

#: Draft uniform(3), n = 2, target (first, x, 1 - first - x): single draft and recursive rejection.
PANELS = [
    (
        Fraction(1, 3),
        "0 1/18 1/9 1/6 2/9 1/3 5/9 2/3",
        "2/3 13/18 7/9 5/6 8/9 1 7/9 2/3",
        "7/9 22/27 23/27 8/9 25/27 1 23/27 7/9",
    ),
    (
        Fraction(1, 6),
        "0 1/6 5/18 1/3 7/18 5/9 13/18 5/6",
        "1/2 2/3 7/9 5/6 5/6 7/9 11/18 1/2",
        "2/3 7/9 23/27 8/9 17/18 23/27 20/27 2/3",
    ),
]


@pytest.mark.parametrize(("name", "laws", "n", "replaced", "distinct"), GOLDEN)
def test_published_fractions(name: str, laws: tuple[Law, Law], n: int, replaced: str, distinct: str) -> None:
    for drafting_law, fraction in (("with_replacement", replaced), ("without_replacement", distinct)):
        case = instance(*laws, n, drafting_law)
        assert exact.rejection(case)[1] == Fraction(fraction), "the enumeration itself"
        assert REJECTION.acceptance(case.problem) == pytest.approx(float(Fraction(fraction)), rel=0, abs=CLOSE)


@pytest.mark.parametrize(("first", "xs", "single", "rejection"), PANELS)
def test_published_panels(first: Fraction, xs: str, single: str, rejection: str) -> None:
    uniform = law(1, 1, 1)
    for x, one, two in zip(map(Fraction, xs.split()), single.split(), rejection.split(), strict=True):
        target = law(first, x, 1 - first - x)
        assert schemes.get("single_draft").acceptance(instance(target, uniform, 1).problem) == pytest.approx(
            float(Fraction(one)), abs=CLOSE
        )
        assert REJECTION.acceptance(instance(target, uniform, 2).problem) == pytest.approx(
            float(Fraction(two)), abs=CLOSE
        )


@pytest.mark.parametrize(
    ("case", "acceptance"),
    [
        (instance(law(1, 1, 0), law(0, 1, 1), 2), 0.5),
        (instance(law(1, 0, 0), law(2, 3, 5), 3), 0.488),
        (instance(law(2, 3, 5), law(1, 0, 0), 3), 0.2),
        (instance(law(2, 3, 5), law(2, 3, 5), 3), 1.0),
        (instance(law(1), law(1), 3), 1.0),
        (instance(law(1, 0), law(0, 1), 2), 0.0),
    ],
)
def test_degenerate_problems(case: Instance, acceptance: float) -> None:
    assert REJECTION.acceptance(case.problem) == pytest.approx(acceptance, abs=CLOSE)
    np.testing.assert_allclose(REJECTION.output_law(case.problem), case.problem.target, rtol=0, atol=CLOSE)


def weights(vocab: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 20), min_size=vocab, max_size=vocab).filter(any)


@st.composite
def instances(draw: st.DrawFn, n: int | None = None) -> Instance:
    vocab = draw(st.integers(1, 4))
    n = n or draw(st.integers(1, 3))
    target = law(*draw(weights(vocab)))
    drafting_law = draw(st.sampled_from(REJECTION.laws))
    if drafting_law == "independent":
        return Instance(target, tuple(law(*draw(weights(vocab))) for _ in range(n)), drafting_law)
    draft = law(*draw(weights(vocab)))
    if drafting_law == "without_replacement":
        n = min(n, sum(mass > 0 for mass in draft))
    return instance(target, draft, n, drafting_law)


@given(instances())
def test_recursive_rejection_against_enumeration(case: Instance) -> None:
    output_law, acceptance = exact.rejection(case)
    assert output_law == case.target, "the scheme is lossless"
    assert REJECTION.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    np.testing.assert_allclose(REJECTION.output_law(case.problem), list(map(float, output_law)), rtol=0, atol=CLOSE)


@given(instances())
def test_target_only_against_enumeration(case: Instance) -> None:
    scheme = schemes.get("target_only")
    assert scheme.acceptance(case.problem) == pytest.approx(float(exact.coincidence(case)), rel=0, abs=1e-13)
    np.testing.assert_array_equal(scheme.output_law(case.problem), case.problem.target)


@given(instances(n=1))
def test_single_draft_against_enumeration(case: Instance) -> None:
    scheme = schemes.get("single_draft")
    output_law, acceptance = exact.rejection(case)
    assert scheme.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)
    np.testing.assert_allclose(scheme.output_law(case.problem), list(map(float, output_law)), rtol=0, atol=CLOSE)


def test_two_drafters_against_enumeration() -> None:
    case = Instance(exact.P6[0], (exact.P6[1], exact.SECOND_DRAFTER), "independent")
    output_law, acceptance = exact.rejection(case)
    assert output_law == case.target
    assert REJECTION.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=CLOSE)


@pytest.mark.parametrize("tiny", [1e-9, 1e-15, 1e-300])
def test_one_token_that_holds_almost_all_draft_mass(tiny: float) -> None:
    """Without replacement, 1 - q(x) is lost to rounding; the sum of what is left is not."""
    case = instance(law(0.2, 0.3, 0.1, 0.4), law(1, tiny, 3 * tiny, 2 * tiny), 3, "without_replacement")
    _, acceptance = exact.rejection(case)
    assert REJECTION.acceptance(case.problem) == pytest.approx(float(acceptance), rel=0, abs=1e-13)
    np.testing.assert_allclose(REJECTION.output_law(case.problem), list(map(float, case.target)), rtol=0, atol=1e-13)


def zipf(vocab: int) -> tuple[np.ndarray, np.ndarray]:
    target = 1 / np.arange(1, vocab + 1)
    draft = np.roll(target**0.7, 3)
    return target / target.sum(), draft / draft.sum()


@pytest.mark.parametrize(("vocab", "n"), [(48, 3), (300, 2)])
def test_without_replacement_two_exact_routes_agree(vocab: int, n: int) -> None:
    """Acceptance by offsets and prefix sums; the output law carries whole residuals. Enumerate drafts for a third."""
    problem = Problem(*zipf(vocab), n, "without_replacement")
    np.testing.assert_allclose(REJECTION.output_law(problem), problem.target, rtol=0, atol=1e-12)
    law_of_drafts = drafting.get("without_replacement").joint_law(problem)
    rejected = law_of_drafts.mass.copy()
    residual = np.broadcast_to(problem.target, (len(rejected), vocab))
    # Round by round over all tuples at once, residuals in full: too slow for more than a few hundred thousand tuples.
    for part in np.array_split(np.arange(len(rejected)), max(1, len(rejected) * vocab // 2_000_000)):
        left, rows = residual[part], np.arange(len(part))
        remaining = np.broadcast_to(problem.draft, left.shape).copy()
        for k in range(n):
            x = law_of_drafts.tuples[part, k]
            share = remaining / remaining.sum(axis=1, keepdims=True)
            with np.errstate(invalid="ignore"):
                rejected[part] *= 1 - np.minimum(1, left[rows, x] / share[rows, x])
            left = np.maximum(left - share, 0)
            left = left / np.maximum(left.sum(axis=1, keepdims=True), 1e-300)
            remaining[rows, x] = 0
    assert REJECTION.acceptance(problem) == pytest.approx(1 - rejected.sum(), rel=0, abs=1e-11)


def test_a_thousand_tokens_and_three_drafts_have_an_exact_acceptance() -> None:
    values = [REJECTION.acceptance(Problem(*zipf(1000), n, "without_replacement")) for n in (1, 2, 3)]
    assert values == sorted(values)
    assert values[-1] < 1
    replaced = REJECTION.acceptance(Problem(*zipf(1000), 3))
    assert replaced <= values[-1]


def test_too_large_is_said_never_estimated() -> None:
    with pytest.raises(ProblemTooLarge, match=re.escape("at most 4000000 ordered tuples")):
        REJECTION.acceptance(Problem(*zipf(1000), 4, "without_replacement"))
    with pytest.raises(ProblemTooLarge, match="output law propagates at most 30000000"):
        REJECTION.output_law(Problem(*zipf(1000), 3, "without_replacement"))


def test_any_vocabulary_with_replacement() -> None:
    problem = Problem(*zipf(128_000), 8)
    np.testing.assert_allclose(REJECTION.output_law(problem), problem.target, rtol=0, atol=CLOSE)
    assert 0 < REJECTION.acceptance(problem) < 1
