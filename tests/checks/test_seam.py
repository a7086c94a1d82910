"""Own drafts, apart and with their verification: correct pairs pass, pairs that are wrong where they meet fail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from spectest import checks, drafting
from spectest.checks.base import Shared
from spectest.checks.drafts import draft_samples, joint_view, views_by_position
from spectest.checks.problems import main_problem
from spectest.declaration import Declaration
from spectest.engine import Experiment, Loaded, LocalSession, Outcome, Tally
from spectest.problem import DRAFTING, Problem
from spectest.runner import verify
from spectest.stats import chi_squared_detectable
from tests.checks import seams
from tests.checks.bench import ALPHA, SEED, SMALL, run, with_seed

if TYPE_CHECKING:
    from spectest.checks.base import Settings
    from spectest.checks.result import CaseResult
    from spectest.engine import Call

pytestmark = pytest.mark.long

BOTH = ("proposal", "seam")


def results(function: Any, settings: Settings = SMALL, only: tuple[str, ...] = BOTH) -> dict[str, CaseResult]:
    """Return every case of the two checks that applies, by name."""
    session, shared, found = LocalSession(function), Shared(), {}
    for name in only:
        check = checks.get(name)
        for case in check.cases(settings):
            if check.applies(case, session.loaded.declaration):
                found[f"{name}[{case}]"] = run(name, case, session, settings, shared=shared)
    return found


def verdicts(function: Any, settings: Settings = SMALL) -> dict[str, set[str]]:
    """Return the cases of each verdict."""
    found: dict[str, set[str]] = {"pass": set(), "fail": set(), "inconclusive": set()}
    for name, result in results(function, settings).items():
        found[result.verdict].add(name)
    return found


# --- correct pairs -----------------------------------------------------------------------------------------------

#: A case of `unbatched` is as many Python calls as it has samples.
FEW = replace(SMALL, delta=0.2, small=300, calls=40, vocab=(5,))


@pytest.mark.parametrize("name", seams.CORRECT)
def test_a_correct_pair_passes(name: str) -> None:
    found = verdicts(seams.CORRECT[name], FEW if name == "unbatched" else SMALL)
    assert not found["fail"] | found["inconclusive"]
    assert len(found["pass"]) >= 15


def test_without_a_proposer_neither_check_applies() -> None:
    for name in BOTH:
        assert not any(checks.get(name).applies(case, Declaration()) for case in checks.get(name).cases(SMALL))


@dataclass
class Sampling:
    """A session whose drafts are the drafting law's own sampler's, and whose outputs are the target's."""

    declaration: Declaration
    generator: np.random.Generator

    @property
    def loaded(self) -> Loaded:
        """See `Session`."""
        return Loaded("sampling", self.declaration, {})

    def call(self, call: Call) -> Outcome:
        """See `Session`."""
        raise NotImplementedError

    def sample(self, experiment: Experiment, progress: Any = None) -> Tally:
        """See `Session`."""
        problems = [prepared.problem for prepared in experiment.problems]
        rows = experiment.rows or 1000
        pattern = np.zeros(rows, dtype=np.int64) if experiment.pattern is None else experiment.pattern
        calls = -(-experiment.samples // pattern.size)
        index = np.tile(pattern, calls)
        index = index[: experiment.samples] if experiment.pattern is None and experiment.rows is None else index
        ids = np.zeros((index.size, problems[0].n_drafts), dtype=np.int64)
        tokens = np.zeros(index.size, dtype=np.int64)
        for number, problem in enumerate(problems):
            mine = index == number
            ids[mine] = drafting.get(problem.drafting).sampler(problem)(self.generator, int(mine.sum()))
            tokens[mine] = self.generator.choice(problem.vocab_size, int(mine.sum()), p=problem.target)
        tally = Tally.empty(experiment.groups, problems[0].vocab_size)
        tally.add(index, tokens, (ids == tokens[:, None]).any(axis=1))
        tally.rows, tally.drafts = pattern.size, ids.astype(np.uint8)
        if experiment.keep:
            tally.outputs = tokens.reshape(-1, pattern.size)
        return tally


@pytest.mark.parametrize("law", DRAFTING)
def test_drafts_of_the_law_itself_are_rejected_as_often_as_alpha_says(law: str) -> None:
    """At a level of 5 %, over eight cases and 15 seeds: 120 decisions, of which 24 would be too many once in 1e9."""
    cases = ("joint-generic", "joint-ties", "joint-zeros", "joint-peaked", "V5", "V17", "B97", "rows")
    settings = replace(SMALL, delta=0.1, small=400, calls=120)
    rejected = 0
    for seed in range(15):
        declaration = Declaration().override({"drafting": law})
        session = Sampling(declaration, np.random.default_rng([SEED, seed]))
        for case in cases:
            rejected += run("proposal", case, session, with_seed(SEED + seed, settings), alpha=0.05).verdict == "fail"
    assert rejected <= stats.binom.isf(1e-9, 15 * len(cases), 0.05)


@pytest.mark.parametrize("law", DRAFTING)
def test_outputs_of_the_target_itself_are_rejected_as_often_as_alpha_says(law: str) -> None:
    settings = replace(SMALL, delta=0.1, small=400, calls=120)
    rejected = 0
    for seed in range(15):
        declaration = Declaration().override({"drafting": law})
        session = Sampling(declaration, np.random.default_rng([SEED, seed, 1]))
        for case in ("V5", "edge-disjoint", "rows"):
            rejected += run("seam", case, session, with_seed(SEED + seed, settings), alpha=0.05).verdict == "fail"
    assert rejected <= stats.binom.isf(1e-9, 45, 0.05)


# --- defective pairs ---------------------------------------------------------------------------------------------

EVERYWHERE = ("proposal[joint-generic]", "proposal[V17]")
#: defect -> cases that see it at any seed, at sample sizes an eighth of the quick tier's.
SEEN = {
    "argmax_drafts": (*EVERYWHERE, "proposal[states]", "seam[V17]"),
    "at_temperature": (*EVERYWHERE, "seam[V17]"),
    "top_k": (*EVERYWHERE, "seam[V17]"),
    "shared_gumbel_one_draft": ("seam[edge-late-rounds]",),
    "same_seed": ("seam[edge-late-rounds]",),
    "shared_coin": ("seam[edge-target-off-draft]", "seam[edge-late-rounds]"),
    "sorted": (*EVERYWHERE, "seam[V17]"),
    "by_probability": (*EVERYWHERE, "seam[V17]"),
    "row_0": ("proposal[known-drafts]", "proposal[B97]", "proposal[B1025]"),
    "neighbours_q": ("proposal[known-drafts]", "proposal[B97]", "proposal[B1025]"),
    "rows_share": ("proposal[rows]", "seam[rows]"),
    "drafts_share": (*EVERYWHERE, "seam[edge-late-rounds]"),
    "drafters_swapped": (*EVERYWHERE, "seam[V17]"),
    "smoothed": ("proposal[known-drafts]", "proposal[joint-zeros]"),
    "narrow_ids": ("proposal[known-drafts]",),
    "never_the_last": ("proposal[known-drafts]", "proposal[joint-generic]"),
    "unseeded": ("proposal[states]",),
    "one_seed": ("proposal[states]", "proposal[rows]", "seam[rows]"),
    "in_place": ("proposal[known-drafts]", "seam[rows]"),
    "with_replacement": (*EVERYWHERE, "seam[edge-late-rounds]"),
    "without_replacement": ("proposal[known-drafts]", *EVERYWHERE),
    "greedy_last_first": EVERYWHERE,
    "greedy_all_drawn": EVERYWHERE,
    "hub_always_first": EVERYWHERE,
}
#: Seen at the quick tier's sample sizes alone.
MILD = {
    "bfloat16": ("proposal[V300]",),
    "shared_gumbel": ("seam[V17]", "seam[V64]", "seam[V100]", "seam[V300]"),
    "shared_residual_uniform": ("seam[V17]", "seam[V64]", "seam[V100]", "seam[V300]"),
}


def test_every_defect_is_named_once() -> None:
    assert set(SEEN) | set(MILD) == set(seams.DEFECTIVE)
    assert not set(SEEN) & set(MILD)


@pytest.mark.parametrize("name", SEEN)
def test_a_defective_pair_fails(name: str) -> None:
    session, settings = LocalSession(seams.DEFECTIVE[name]), replace(SMALL, delta=0.03)
    for where in SEEN[name]:
        check, _, case = where.rstrip("]").partition("[")
        assert run(check, case, session, settings).verdict == "fail", where


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SEEN, *MILD])
def test_a_defective_pair_fails_at_the_quick_tier(name: str) -> None:
    report = verify(seams.DEFECTIVE[name], checks=BOTH, seed=SEED)
    failed = {f"{case.check}[{case.case}]" for case in report.cases if case.verdict == "fail"}
    assert set({**SEEN, **MILD}[name]) & failed


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in seams.CORRECT if name != "unbatched"])
def test_a_correct_pair_passes_at_the_quick_tier(name: str) -> None:
    report = verify(seams.CORRECT[name], checks=BOTH, seed=SEED)
    assert report.verdict == "pass"


# --- what a failure says -----------------------------------------------------------------------------------------


def test_a_failure_says_where_the_drafts_are_wrong() -> None:
    """At one seed: at others q may have next to nothing on the last token, and its absence be no failure."""
    settings = replace(with_seed(1), delta=0.03)
    joint = run("proposal", "joint-generic", LocalSession(seams.DEFECTIVE["sorted"]), settings).detail
    assert joint.startswith("all drafts: total variation")
    assert "drafts (" in joint
    impossible = run("proposal", "joint-zeros", LocalSession(seams.DEFECTIVE["smoothed"]), settings).detail
    assert "impossible drafts: expected 0.0, observed" in impossible
    last = run("proposal", "V17", LocalSession(seams.DEFECTIVE["never_the_last"]), settings).detail
    assert "token 16: expected" in last
    assert "observed 0" in last
    mixed = run("proposal", "B97", LocalSession(seams.DEFECTIVE["row_0"]), settings).detail
    assert mixed.startswith("row-")
    assert "draft " in mixed
    known = run("proposal", "known-drafts", LocalSession(seams.DEFECTIVE["narrow_ids"]), settings).detail
    assert known.startswith("row 0 of 4: q is all on token 70000 of 70001, drafts [4464, 4464, 4464] came out")


def test_own_drafts_that_deviate_fail_whether_or_not_the_selector_is_lossless() -> None:
    session = LocalSession(seams.DEFECTIVE["sorted"], {"lossless": False})
    assert run("proposal", "V5", session).verdict == "fail"
    seam = run("seam", "V5", session)
    assert seam.verdict == "pass"
    assert "by design" in seam.detail


def test_acceptance_of_own_drafts_is_held_to_the_declared_scheme() -> None:
    """One draft repeated is verified without loss, and gains nothing from the other two."""
    wasteful = LocalSession(seams.CORRECT["shuffled"], {"scheme": "recursive_rejection"})
    assert run("seam", "acceptance-V17", wasteful).verdict == "pass"
    target_only = LocalSession(seams.CORRECT["numpy"], {"scheme": "recursive_rejection"})
    found = run("seam", "acceptance-V17", target_only)
    assert found.verdict == "fail"
    assert "below what the declared scheme has" in found.detail
    assert found.acceptance is None


# --- the design --------------------------------------------------------------------------------------------------


def problem(law: str, n_drafts: int, vocab_size: int = 20) -> Problem:
    rng = np.random.default_rng(3)
    rows = rng.dirichlet(np.full(vocab_size, 3.0), size=n_drafts)
    draft = rows if law == "independent" else rows[0]
    return Problem(rng.dirichlet(np.full(vocab_size, 3.0)), draft, n_drafts, law)


@pytest.mark.parametrize("law", [law for law in DRAFTING if law != "hub"])
@pytest.mark.parametrize("n_drafts", [1, 2, 5])
def test_every_view_holds_the_law_it_says(law: str, n_drafts: int) -> None:
    """Against drafts of the law's own sampler, each view at a level of 1e-9."""
    case = problem(law, n_drafts)
    rng = np.random.default_rng(SEED)
    ids = drafting.get(law).sampler(case)(rng, 60_000)
    views = views_by_position(case)
    if n_drafts == 2:
        views.append(joint_view(case))
    drafted = checks.drafts.Drafted(case, ids, rng)
    for view in views:
        for test in view.tests.names:
            assert not view.tests.test(test, view.counts(drafted), 1e-10).rejected, (view.label, test)


def test_many_drafts_are_paired_with_their_neighbours_and_at_the_ends() -> None:
    labels = [view.label for view in views_by_position(problem("with_replacement", 6))]
    pairs = [label for label in labels if label.startswith("drafts") and "quantiles" not in label and "and" in label]
    assert pairs == ["drafts 1 and 2", "drafts 1 and 6", *(f"drafts {k} and {k + 1}" for k in range(2, 6))]


def test_the_published_deviation_is_found() -> None:
    """A draft law off by δ, in any of its drafts where they differ, fails; missed with probability β = 1e-3."""
    settings = replace(SMALL, delta=0.03)
    for law in ("with_replacement", "without_replacement"):
        declaration = Declaration(drafting=law)
        found = run("proposal", "V17", Sampling(declaration, np.random.default_rng(SEED)), settings)
        assert found.verdict == "pass"
        assert found.delta is not None
        assert found.delta <= settings.delta
        views = views_by_position(main_problem("V17", settings, declaration))
        rows = draft_samples(views, settings, 0, 0.0)
        assert rows <= found.samples  # more where chance asked for a second look
        laws = [(view.tests.problem.target, (rows - 1) * view.per_row) for view in views if view.tests.binding]
        errors = {"alpha": 1e-3, "beta": settings.beta / 2}
        fewer = max(chi_squared_detectable(target, samples=samples, **errors) for target, samples in laws)
        assert fewer > settings.delta  # with one row fewer


def test_the_design_reaches_the_deviation_of_every_binding_view() -> None:
    """Also where one has a few more observations than it needs, of which an exact test now and then finds less."""
    rng = np.random.default_rng(SEED)
    for _ in range(60):
        case = Problem([0.5, 0.5], 0.8 * rng.dirichlet([1, 1]) + 0.1, 3)
        settings = replace(SMALL, delta=float(rng.uniform(2e-3, 2e-2)))
        views = views_by_position(case)
        rows = draft_samples(views, settings, 0, 0.0)
        (view,) = [view for view in views if view.tests.binding]
        errors = {"alpha": 1e-3, "beta": settings.beta / 2}
        found = chi_squared_detectable(view.tests.problem.target, samples=rows * view.per_row, **errors)
        assert 0.97 * settings.delta < found <= settings.delta


@pytest.mark.parametrize("law", DRAFTING)
def test_the_design_reaches_the_deviation_whatever_the_law(law: str) -> None:
    """Also where a view has some more observations than it needs: an exact test may then find a little less."""
    rng = np.random.default_rng(SEED)
    for _ in range(10):
        size = int(rng.integers(2, 6))
        n = 2 if law == "hub" else int(rng.integers(1, 4)) if law in {"with_replacement", "independent"} else 2
        rows = 0.9 * rng.dirichlet(np.ones(size), size=n) + 0.1 / size
        case = Problem(np.full(size, 1 / size), rows if law == "independent" else rows[0], n, law)
        views = views_by_position(case)
        settings = replace(SMALL, delta=float(rng.uniform(2e-3, 2e-2)))
        samples = draft_samples(views, settings, 0, 0.0)
        for view in views:
            if view.tests.binding and (view.tests.problem.target > 0).sum() > 1:
                detectable = chi_squared_detectable(
                    view.tests.problem.target, samples=samples * view.per_row, alpha=1e-3, beta=settings.beta / 2
                )
                assert detectable <= settings.delta


def test_a_later_stage_is_large_enough_for_the_same_deviation() -> None:
    views = views_by_position(problem("with_replacement", 3))
    first, second = (draft_samples(views, SMALL, stage, 0.0) for stage in (0, 1))
    assert first < second < 4 * first


def test_a_sample_cut_short_is_inconclusive() -> None:
    session = LocalSession(seams.CORRECT["inverse_cdf"])
    found = run("proposal", "V17", session, replace(SMALL, delta=1e-4), seconds=0.1)
    assert found.verdict == "inconclusive"
    assert "rows of drafts in the time given" in found.detail


def test_a_case_is_a_function_of_the_seed() -> None:
    for case in ("V5", "joint-generic", "B97", "rows"):
        first, again = (run("proposal", case, LocalSession(seams.CORRECT["inverse_cdf"])) for _ in range(2))
        assert (first.p_value, first.samples) == (again.p_value, again.samples)


@pytest.mark.parametrize("check", BOTH)
def test_the_cost_of_a_case_is_about_what_it_draws(check: str) -> None:
    for name, found in results(seams.CORRECT["inverse_cdf"], only=(check,)).items():
        case = name.partition("[")[2].rstrip("]")
        cost = checks.get(check).cost(case, SMALL)
        if not case.startswith("acceptance"):
            assert 0.1 < cost / max(1, found.samples) < 20, (case, found.samples, cost)


def test_the_share_of_alpha_of_a_case_is_all_it_spends() -> None:
    found = results(seams.CORRECT["inverse_cdf"], only=("proposal",))
    assert {result.alpha for name, result in found.items() if name[9:14] not in {"known", "state"}} == {ALPHA}
