"""The golden values: against published figures, enumeration in fractions and a linear programme."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spectest import golden
from spectest.golden import exact
from spectest.golden.problems import NAMED, Case, cases
from spectest.optimum import lp_oracle
from tests.schemes import enumeration

if TYPE_CHECKING:
    from spectest.golden.table import Row

COMMITTED = Path(__file__).parents[2] / "golden"

#: problem, n -> optimum with and without replacement, recursive rejection with and without: certified elsewhere.
PUBLISHED = {
    ("P1", 2): "988871/1000000 1 169277/200000 192754417/200130000",
    ("P2", 3): "1 1 207227133/250000000 1",
    ("P3", 2): "899031/1000000 1 5313/6250 1",
    ("P4", 3): "610176679/1000000000 4440878158613/5062093092000 137542321/250000000 76025810217187/101241861840000",
    ("P5", 2): "1 1 23/27 1",
    ("P6", 1): "14/25 14/25 14/25 14/25",
    ("P6", 2): "1899/2500 19513177/25356450 468/625 13339/17670",
    ("P6", 3): "97351/125000 1220978191/1483352325 23557/31250 5101546661/6632876250",
    ("P7", 2): "17/18 1 22/27 31/36",
}

#: panel -> x: single draft, optimum and recursive rejection with replacement, n = 2, to five digits.
PANELS = {
    "left": {
        "0": (0.6667, 0.88889, 0.77778),
        "1/18": (0.7222, 0.94444, 0.81481),
        "1/9": (0.7778, 1, 0.85185),
        "1/6": (0.8333, 1, 0.88889),
        "2/9": (0.8889, 1, 0.92593),
        "1/3": (1, 1, 1),
        "5/9": (0.7778, 1, 0.85185),
        "2/3": (0.6667, 0.88889, 0.77778),
    },
    "right": {
        "0": (0.5, 0.72222, 0.66667),
        "1/6": (0.6667, 0.88889, 0.77778),
        "5/18": (0.7778, 1, 0.85185),
        "1/3": (0.8333, 1, 0.88889),
        "7/18": (0.8333, 1, 0.94444),
        "5/9": (0.7778, 1, 0.85185),
        "13/18": (0.6111, 0.83333, 0.74074),
        "5/6": (0.5, 0.72222, 0.66667),
    },
}


def value(problem: str, n: int, drafting: str, quantity: str) -> Row:
    (row,) = (row for row in golden.load(COMMITTED).rows if row.key == (problem, n, drafting, quantity))
    return row


def test_the_committed_table_is_right() -> None:
    assert golden.check(COMMITTED) == []


@pytest.mark.parametrize(("problem", "n"), PUBLISHED)
def test_published_fractions(problem: str, n: int) -> None:
    asked = [(quantity, law) for quantity in ("optimum", "recursive_rejection") for law in ("with", "without")]
    for (quantity, law), fraction in zip(asked, PUBLISHED[problem, n].split(), strict=True):
        row = value(problem, n, f"{law}_replacement", quantity)
        assert row.fraction == Fraction(fraction)
        assert row.value == float(Fraction(fraction))


@pytest.mark.parametrize(("side", "x"), [(side, x) for side, panel in PANELS.items() for x in panel])
def test_published_panels(side: str, x: str) -> None:
    single, optimum, rejection = PANELS[side][x]
    name = f"uniform3_{side}({x})"
    assert value(name, 1, "with_replacement", "single_draft").value == pytest.approx(single, abs=6e-5)
    assert value(name, 2, "with_replacement", "optimum").value == pytest.approx(optimum, abs=6e-6)
    assert value(name, 2, "with_replacement", "recursive_rejection").value == pytest.approx(rejection, abs=6e-6)


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.name}-{len(case.drafts)}-{case.drafting}")
def test_fractions_against_tuple_by_tuple_enumeration(case: Case) -> None:
    again = enumeration.Instance(case.target, case.drafts, case.drafting)
    values = dict(exact.quantities(case))
    assert values["target_only"] == enumeration.coincidence(again)
    assert values["recursive_rejection"] == enumeration.rejection(again)[1]
    assert values.get("single_draft", values["recursive_rejection"]) == values["recursive_rejection"]
    assert float(values["optimum"]) == pytest.approx(lp_oracle(case.problem), abs=1e-9)


def test_every_named_problem_is_in_the_table() -> None:
    assert {row.problem for row in golden.load(COMMITTED).rows} == set(NAMED)
    assert {row.drafting for row in golden.load(COMMITTED).rows} == {
        "with_replacement",
        "without_replacement",
        "independent",
    }


def test_named_laws_must_be_laws() -> None:
    from spectest.golden.problems import _law

    for text in ("1/2 1/3", "3/2 -1/2"):
        with pytest.raises(ValueError, match="sum to 1 exactly"):
            _law(text)
