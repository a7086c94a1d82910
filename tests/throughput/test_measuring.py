"""What is measured on which cells, beside what, within which time; what faults and refusals come to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spectest import UsageError
from spectest.throughput import Bench, Request, Throughput
from tests.throughput.here import Dying, Ending, Fixed, Here, Slow, bench, opened, printed

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def nothing_is_left_open() -> Any:
    opened.clear()
    yield
    assert all(session.closed for session in opened)


def seen(result: Throughput) -> list[tuple[str, int, str]]:
    return [(item.subject.name, item.cell.B, item.cell.layout) for item in result.measurements]


# ------------------------------------------------------------------------------------------------------------ measured


def test_a_selector_alone() -> None:
    result = bench("first")
    assert result.exit_code == 0
    assert seen(result) == [("first", 1, "dense"), ("first", 4, "dense")]
    for item in result.measurements:
        assert item.status == "measured"
        assert item.cell.n == 2
        found = item.to_dict()
        assert found["drafting"] == "without_replacement"
        assert found["median"] == pytest.approx(np.median(item.seconds))
        assert found["ratio"] == pytest.approx(np.median(item.seconds) / np.median(item.argmax_seconds))
        assert found["tokens_per_second"] == pytest.approx(item.cell.B / np.median(item.seconds))
        assert found["quartiles"][0] <= found["median"] <= found["quartiles"][1]
        assert found["seconds"] == list(item.seconds)
    json.dumps(result.to_dict())


def test_the_usual_and_the_declared_scheme_stand_beside_it_on_the_same_cells() -> None:
    result = bench("views", schemes=None)
    assert seen(result) == [
        (name, rows, layout)
        for rows, layout in ((1, "dense"), (4, "dense"), (4, "shared"))
        for name in ("views", "recursive_rejection", "target_only")
    ]
    assert {item.subject.declaration.dtype for item in result.measurements} == {"float32"}
    assert len(opened) == 2  # the schemes share a process


def test_a_scheme_is_not_measured_beside_itself() -> None:
    address = "spectest.schemes.recursive_rejection:with_replacement"
    assert {item.subject.name for item in bench(address, schemes=None).measurements} == {address}


def test_schemes_without_the_law_are_left_out_and_those_that_say_no_are_no_fault() -> None:
    result = bench("first", batch=(2,), schemes=("single_draft", "spechub", "target_only"))
    assert result.exit_code == 0
    assert [(item.subject.name, item.status) for item in result.measurements] == [
        ("first", "measured"),
        ("single_draft", "refused"),  # it has the law, but not two drafts
        ("target_only", "measured"),
    ]
    assert result.notes == ("left out, without a drafting law without_replacement: spechub",)
    assert "refused: single_draft at V = 8, n = 2, B = 2: " in printed(result)


def test_one_position_a_call_has_one_row() -> None:
    assert seen(bench("one")) == [("one", 1, "dense")]


def test_sizes_go_up_and_drafts_are_as_asked_for() -> None:
    result = bench("refuses", vocab=(5, 4), drafts=(2, 1), batch=(2,))
    assert [(item.cell.V, item.cell.n) for item in result.measurements] == [(4, 1), (4, 2), (5, 1), (5, 2)]


def test_schemes_alone_each_with_its_own_number_of_drafts_and_first_law() -> None:
    result = bench(schemes=("single_draft", "spechub", "recursive_rejection"), batch=(2,), devices=("cpu",))
    assert result.exit_code == 0
    assert [(item.subject.title, item.cell.n, item.cell.layout) for item in result.measurements] == [
        (name, n, layout)
        for n, name in ((1, "single_draft"), (2, "spechub (hub)"), (3, "recursive_rejection"))
        for layout in ("dense", "shared")
    ]
    text = printed(result)
    assert "spechub (hub)" in text
    assert text.splitlines()[-1].startswith("3 schemes: 6 of 6 cells measured in ")


def test_a_narrow_terminal_has_what_matters_whole() -> None:
    result = bench(schemes=("recursive_rejection",), vocab=(128_256,), batch=(1, 2), devices=("cpu",), start=Fixed)
    text = printed(result, width=80)
    assert "…" not in text
    assert "quartiles" not in text
    assert max(map(len, text.splitlines()[:8])) <= 80
    for item in result.measurements:
        assert f"{item.ratio:,.1f}" in text
    assert "quartiles" in printed(result)


def test_schemes_alone_under_one_law() -> None:
    overrides = {"drafting": "hub", "dtype": "float32"}
    result = bench(schemes=("naive", "spechub"), devices=("cpu",), overrides=overrides)
    assert {item.subject.name for item in result.measurements} == {"spechub"}
    assert {item.subject.declaration.dtype for item in result.measurements} == {"float32"}
    assert "(hub)" not in printed(result)  # one law: it is said once


def test_a_device_nobody_asked_for_may_be_missing() -> None:
    class NoCuda(Here):
        def __init__(self, address: str, overrides: Mapping[str, Any], **options: Any) -> None:
            if overrides["device"] == "cuda":
                msg = "there is none"
                raise UsageError(msg)
            super().__init__(address, overrides, **options)

    result = bench(schemes=("target_only",), start=NoCuda)
    assert {item.cell.device for item in result.measurements} == {"cpu"}
    assert result.notes == ("cuda is left out: there is none here",)
    with pytest.raises(UsageError, match="there is none"):
        bench(schemes=("target_only",), start=NoCuda, devices=("cpu", "cuda"))


@pytest.mark.parametrize(
    ("address", "given", "message"),
    [
        ("tree", {}, "`kind` tree"),
        ("views", {"overrides": {"device": "meta"}}, "`device` must be cpu or cuda to be timed"),
        ("pairs", {"drafts": (3,)}, "`n_drafts` must be 2"),
        ("first", {"overrides": {"scheme": "bogus"}, "schemes": None}, "bogus"),
        (None, {"schemes": ("naive",), "overrides": {"drafting": "hub"}}, "`drafting` hub"),
        (None, {"schemes": ("naive",), "overrides": {"array": "numpy"}}, "`array`"),
    ],
)
def test_what_cannot_be_measured_is_refused(address: str | None, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bench(address, **given)


# ---------------------------------------------------------------------------------------------------- faults, and time


def test_a_fault_of_the_selector_is_shown_with_its_traceback_when_asked() -> None:
    result = bench("raises", schemes=("naive",))
    assert result.exit_code == 1
    assert [item.status for item in result.measurements] == ["failed", "measured"] * 2
    assert "failed: raises at V = 8, n = 3, B = 1 and 1 more: it raised KeyError: 'k'" in printed(result)
    assert "in raises" not in printed(result)
    assert "in raises" in printed(result, verbose=True)
    assert printed(result, quiet=True).splitlines()[0].startswith("failed: raises at ")
    assert len(printed(result, quiet=True).splitlines()) == 2


def test_a_selector_that_says_no_has_the_rest_measured() -> None:
    result = bench("refuses", vocab=(8, 9), batch=(1,))
    assert [(item.status, item.detail) for item in result.measurements] == [
        ("measured", ""),
        ("refused", "at most 8 tokens"),
    ]
    assert result.exit_code == 0
    assert bench("refuses", vocab=(9,)).exit_code == 3


@pytest.mark.parametrize("start", [Ending, Dying])
def test_after_a_hang_or_a_crash_nothing_more_is_asked_of_it(start: Any) -> None:
    result = bench("views", vocab=(8, 9), start=start, schemes=("naive",))
    own = [item for item in result.measurements if item.subject.name == "views"]
    assert [item.status for item in own] == ["measured"] * 3 + ["failed", "skipped", "skipped"]
    assert own[-1].detail == "its process was ended at V = 9, n = 3, B = 1"
    assert result.exit_code == 1
    # A scheme that takes too long is no fault; one that crashes is.
    beside = [item.status for item in result.measurements if item.subject.name == "naive"]
    assert beside == ["measured"] * 3 + ["skipped" if start is Ending else "failed", "skipped", "skipped"]


def test_a_share_of_the_budget_that_is_spent_is_said_and_costs_no_other() -> None:
    result = bench("first", vocab=(8, 9), batch=(2,), schemes=("naive", "target_only"), budget=0.6 * 3, start=Slow)
    assert [(item.subject.name, item.status) for item in result.measurements] == [
        ("first", "measured"),
        ("naive", "measured"),
        ("target_only", "measured"),
        ("first", "measured"),
        ("naive", "skipped"),
        ("target_only", "measured"),
    ]
    assert "naive at V = 9, n = 2, B = 2: its share of the budget of 1.8 s was spent" in printed(result)


def test_a_call_that_would_take_too_long_is_not_tried() -> None:
    """At half a second per row and with a quarter of 10 s allowed, 4 rows are tried and 16 are not."""
    result = bench("first", vocab=(8, 9), batch=(1, 4, 16), timeout=10.0, start=Fixed)
    assert [(item.cell.V, item.cell.B, item.status) for item in result.measurements] == [
        (8, 1, "measured"),
        (8, 4, "measured"),
        (8, 16, "skipped"),
        (9, 1, "measured"),
        (9, 4, "measured"),
        (9, 16, "skipped"),
    ]
    assert "a call would take some 8 s; raise --timeout and --budget to see" in printed(result)


def test_ctrl_c_keeps_what_there_is() -> None:
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if what.endswith("B = 4"):
            raise KeyboardInterrupt

    request = Request("first", vocab=(8,), batch=(1, 4), schemes=(), seconds=1e-3)
    result = Bench(request, tell, Here).execute()
    assert told[0] == "loading first"
    assert [item.cell.B for item in result.measurements] == [1]
    assert result.exit_code == 3
    assert "1 of 1 cells measured" in printed(result)
    assert "interrupted" in printed(result)
