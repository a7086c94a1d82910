"""The second protocol, `propose`: who is called with what, in which order, and what is caught."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spectest import UsageError, selector
from spectest.declaration import Declaration
from spectest.engine import (
    BadOutput,
    Experiment,
    InputMutated,
    LocalSession,
    SelectorDied,
    SelectorHung,
    SelectorRaised,
    Tally,
)
from spectest.engine.address import resolve
from spectest.runner.config import configure
from spectest.runner.replay import Record
from spectest.runner.sessions import Opener
from tests.engine import proposers
from tests.engine.proposers import address
from tests.engine.samples import prepared

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = 200
ROWS = 8


def sample(session: Any, drafts: Any = "own", **options: Any) -> Tally:
    return session.sample(Experiment((prepared(),), SAMPLES, 7, drafts=drafts, **options))


def listed(**declared: Any) -> tuple[list[Any], LocalSession]:
    """Return a session of a pair that writes down its calls, and what it writes."""
    calls: list[Any] = []

    def propose(q: Any, *last: Any) -> Any:
        calls.append(("propose", tuple(q.shape), *last))
        ids = np.zeros(q.shape[:-1], dtype=np.int64)
        return torch.from_numpy(ids) if isinstance(q, torch.Tensor) else ids

    def select(p: Any, q: Any, ids: Any, *last: Any) -> Any:
        calls.append(("select", tuple(ids.shape), *last))
        return int(ids[0]) if ids.ndim == 1 else ids[:, 0]

    return calls, LocalSession(select, {"propose": propose, **declared})


@pytest.mark.parametrize("array", ["torch", "numpy"])
def test_both_get_the_same_generator_the_proposer_first(array: str) -> None:
    calls, session = listed(array=array)
    sample(session, rows=ROWS)
    assert [name for name, *_ in calls] == ["propose", "select"] * (SAMPLES // ROWS)
    assert len({id(generator) for *_, generator in calls}) == 1
    assert {shape for name, shape, _ in calls if name == "propose"} == {(ROWS, 3, 5)}


def test_an_unbatched_pair_is_called_position_by_position() -> None:
    calls, session = listed(batched=False)
    sample(session, rows=ROWS)
    assert [(name, shape) for name, shape, _ in calls] == [("propose", (3, 5)), ("select", (3,))] * SAMPLES


def test_both_get_the_same_seed_and_every_call_another() -> None:
    calls, session = listed(rng="seed")
    sample(session, rows=ROWS)
    seeds = [seed for *_, seed in calls]
    assert seeds[0::2] == seeds[1::2]
    assert len(set(seeds)) == SAMPLES // ROWS
    sample(session, "unverified", rows=ROWS)
    alone = [seed for *_, seed in calls[len(seeds) :]]
    assert len(set(alone)) == SAMPLES // ROWS


def test_uniforms_are_each_ones_own() -> None:
    calls, session = listed(rng="uniforms")
    sample(session, rows=ROWS)
    (_, _, first), (_, _, second) = calls[:2]
    assert (first.shape, second.shape, first.dtype) == ((ROWS, 3), (ROWS, 4), torch.float64)
    assert not (first == second[:, :3]).any()


def test_the_global_generators_need_no_argument() -> None:
    calls, session = listed(rng="global")
    sample(session, rows=ROWS)
    assert {len(call) for call in calls} == {2}


def test_unverified_drafts_come_back_and_no_selector_is_called() -> None:
    calls, session = listed()
    tally = sample(session, "unverified")
    assert {name for name, *_ in calls} == {"propose"}
    assert tally.drafts.shape == (SAMPLES, 3)
    assert tally.samples == SAMPLES


def test_kept_drafts_come_back_in_the_order_of_the_outputs() -> None:
    session = LocalSession(proposers.takes)
    tally = sample(session, keep=True, rows=ROWS)
    np.testing.assert_array_equal(tally.drafts[:, 0], tally.outputs.ravel())
    assert tally.drafts.dtype == np.uint8
    assert tally.accepted.sum() == SAMPLES
    again = sample(session, keep=True, rows=ROWS)
    np.testing.assert_array_equal(again.drafts, tally.drafts)
    assert sample(session, rows=ROWS).drafts.size == 0


# --- faults ------------------------------------------------------------------------------------------------------


def proposing(returned: Callable[[Any], Any], **declared: Any) -> Tally:
    def propose(q: Any, rng: Any) -> Any:
        return returned(q)

    return sample(LocalSession(lambda p, q, ids, rng: ids[:, 0], {"propose": propose, **declared}), "unverified")


def test_faults_name_the_proposer() -> None:
    with pytest.raises(BadOutput, match=r"`propose`: it must return int64 of shape \(1, 3\), got .* of shape \(1,\)"):
        proposing(lambda q: torch.zeros(len(q), dtype=torch.int64))
    with pytest.raises(BadOutput, match=r"`propose`: it must return int64 of shape \(1, 3\), got int32"):
        proposing(lambda q: torch.zeros(q.shape[:2], dtype=torch.int32))
    with pytest.raises(BadOutput, match=r"`propose`: it must return a torch tensor .* got nothing"):
        proposing(lambda q: None)
    with pytest.raises(BadOutput, match=r"`propose`: token ids must lie in \[0, 5\), got 5 in row 0"):
        proposing(lambda q: torch.full(q.shape[:2], 5))
    with pytest.raises(SelectorRaised, match="`propose`: it raised ZeroDivisionError"):
        proposing(lambda q: 1 / 0)
    with pytest.raises(InputMutated, match="`propose`: it wrote to its input draft_probs"):
        proposing(lambda q: q.mul_(1.0).argmax(-1))
    with pytest.raises(InputMutated, match="its `propose` wrote to its input draft_probs"):
        proposing(lambda q: (q.fill(0.0), np.zeros(q.shape[:2], dtype=np.int64))[1], array="numpy")


def test_an_id_out_of_range_is_shown_with_its_row() -> None:
    def last_row(q: Any) -> Any:
        ids = torch.zeros(q.shape[:2], dtype=torch.int64)
        ids[-1, 1] = -1 if len(q) > 1 else 0
        return ids

    with pytest.raises(BadOutput, match="got -1 in row 62"):  # of the second call, which has 63 rows
        proposing(last_row)


@pytest.mark.parametrize("output", [[0, 1], [0, 1, 2.0], [0, 1, True], "012", 1, torch.zeros(2, dtype=torch.int64)])
def test_one_positions_drafts_are_n_ints(output: Any) -> None:
    with pytest.raises(BadOutput, match="`propose`: it must return"):
        proposing(lambda q: output, batched=False)


@pytest.mark.parametrize("output", [[0, 4, 2], (np.int64(0), 4, 2), torch.tensor([0, 4, 2])])
def test_one_positions_drafts_may_be_a_sequence(output: Any) -> None:
    assert (proposing(lambda q: output, batched=False).drafts == [0, 4, 2]).all()


def test_a_fault_of_the_selector_does_not_name_the_proposer() -> None:
    session = LocalSession(lambda p, q, ids, rng: None, {"propose": lambda q, rng: q.argmax(-1)})
    with pytest.raises(BadOutput, match=r"^it must return"):
        sample(session)


# --- in a child process ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hangs", "hangs_later", "dies"])
def test_a_proposer_that_hangs_or_dies_is_named_and_costs_one_request(opened: Any, name: str) -> None:
    session = opened(address("plain"), overrides={"propose": address(name)}, timeout=0.2)
    first = "its first call took more than 1.2" if name == "hangs" else "one call took more than 0.2"
    with pytest.raises((SelectorDied, SelectorHung), match=r"^`propose`: ") as caught:
        sample(session)
    assert ("ended its process" if name == "dies" else first) in caught.value.message
    assert session.sample(Experiment((prepared(),), SAMPLES, 7)).samples == SAMPLES


def test_each_function_may_compile_in_its_own_first_call(opened: Any) -> None:
    session = opened(address("plain"), overrides={"propose": address("slow_start")}, timeout=0.2)
    assert session.sample(Experiment((prepared(),), SAMPLES, 7)).samples == SAMPLES
    assert sample(session).samples == SAMPLES


@pytest.mark.parametrize("propose", [None, f"{proposers.HERE}:draws"])
def test_both_live_in_one_module(opened: Any, propose: str | None) -> None:
    """However they are named: `takes` fails where the proposer's module is another copy of its own."""
    session = opened(address("takes"), overrides={"propose": propose})
    assert session.loaded.declaration.propose is not None
    assert sample(session).samples == SAMPLES
    by_module = opened("tests.engine.proposers:takes", overrides={"propose": address("draws")})
    assert sample(by_module).samples == SAMPLES


def test_a_declared_lambda_runs_where_its_selector_does(opened: Any) -> None:
    session = opened(address("with_a_lambda"))
    assert str(session.loaded.declaration.propose).endswith(":<lambda>")
    assert sample(session).counts[0, 0] == SAMPLES


def test_a_proposer_that_does_not_import_is_a_usage_error(opened: Any) -> None:
    with pytest.raises(UsageError, match="has no attribute 'nothing'"):
        opened(address("plain"), overrides={"propose": address("nothing")})
    with pytest.raises(UsageError, match="a function is named as"):
        opened(address("plain"), overrides={"propose": "nothing"})


# --- declaring it ------------------------------------------------------------------------------------------------


def test_a_declaration_names_a_callable_where_it_is_written_down() -> None:
    declaration = Declaration(propose=proposers.draws)
    assert declaration.to_dict()["propose"] == "tests.engine.proposers:draws"
    assert Declaration(propose="pkg.mod:name").to_dict()["propose"] == "pkg.mod:name"
    assert Declaration().to_dict()["propose"] is None
    for wrong in (3, "", True):
        with pytest.raises(UsageError, match="`propose` must be an address"):
            selector(propose=wrong)


def test_a_callable_reaches_the_child_by_its_address() -> None:
    session = Opener(proposers.plain, configure(propose=proposers.draws)).open(1)
    try:
        assert str(session.loaded.declaration.propose).endswith(":draws")
        assert sample(session, "unverified").samples == SAMPLES
    finally:
        session.close()


def test_a_callable_without_an_address_runs_here_with_its_selector() -> None:
    opener = Opener(proposers.plain, configure(propose=lambda q, rng: np.zeros(q.shape[:2], dtype=np.int64)))
    session = opener.open(1)
    assert opener.local
    assert sample(session).counts[0, 0] == SAMPLES


def test_a_callable_without_an_address_cannot_reach_a_selector_that_is_one() -> None:
    opener = Opener(address("plain"), configure(propose=lambda q, rng: q))
    with pytest.raises(UsageError, match=r"`propose` .*<lambda> has no address .*@spectest.selector\(propose"):
        opener.open(1)


def test_a_replay_record_holds_the_address() -> None:
    stored = Record(address("plain"), configure(propose=proposers.draws, dtype="float32"), "seam", "V5", None).to_dict()
    assert resolve(stored["overrides"]["propose"]).__name__ == "draws"
    assert stored["overrides"]["dtype"] == "float32"
