"""Exit codes, cells, the schemes' own functions, and the scripts that read what was measured."""

from __future__ import annotations

import json
import runpy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spectest import schemes
from spectest.declaration import Declaration, declared_by
from spectest.engine.address import resolve
from spectest.problem import DRAFTING
from spectest.throughput import Cell, Measurement, Request, Subject, Throughput, reference
from spectest.throughput.grid import grid
from tests.throughput.here import bench

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def made(*statuses: Any, scheme: bool = False, interrupted: bool = False) -> Throughput:
    subject = Subject("it", "mine.py:it", Declaration(), scheme=scheme)
    cells = [Measurement(subject, Cell("cpu", 8, 3, 1), status) for status in statuses]
    return Throughput(None if scheme else "mine.py:it", tuple(cells), interrupted=interrupted)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["measured"], 0),
        (["measured", "refused", "skipped"], 0),
        (["measured", "failed"], 1),
        (["refused", "skipped"], 3),
        ([], 3),
    ],
)
def test_exit_codes(statuses: list[str], code: int) -> None:
    assert made(*statuses).exit_code == made(*statuses, scheme=True).exit_code == code
    assert made(*statuses, interrupted=True).exit_code == (code or 3)


def test_schemes_beside_a_selector_decide_nothing() -> None:
    own, beside = made("measured"), made("failed", scheme=True)
    assert Throughput("mine.py:it", own.measurements + beside.measurements).exit_code == 0
    assert Throughput("mine.py:it", beside.measurements).exit_code == 3


# --------------------------------------------------------------------------------------------------- cells and schemes


@pytest.mark.parametrize(
    ("declared", "dense", "shared"),
    [
        ({}, [1, 10], []),
        ({"broadcast": True}, [1, 10], [10, 11, 160, 200]),
        ({"device": "cuda"}, [1, 10], []),
        ({"broadcast": True, "device": "cuda"}, [1, 10, 11, 160], [10, 11, 160, 200]),
        ({"batched": False, "broadcast": True}, [1], []),
    ],
)
def test_dense_rows_stay_within_what_one_call_may_hold(
    declared: dict[str, Any], dense: list[int], shared: list[int]
) -> None:
    declaration = Declaration().override(declared)
    cells, notes = grid(declaration, Request("it", vocab=(128_256,), batch=(1, 10, 11, 160, 200)))
    assert [cell.B for cell in cells if not cell.shared] == dense
    assert [cell.B for cell in cells if cell.shared] == shared
    assert len(notes) == declaration.batched


@cache
def laws_of(name: str) -> tuple[str, ...]:
    return schemes.get(name).laws


@pytest.mark.parametrize(("name", "law"), [(name, law) for name in schemes.SCHEMES for law in laws_of(name)])
def test_every_scheme_has_a_function_for_each_of_its_laws(name: str, law: str) -> None:
    subject = reference(name, law)
    function = resolve(subject.address)
    assert subject.declaration == declared_by(function).override({"drafting": law})
    assert subject.declaration.scheme == name
    assert subject.declaration.broadcast
    only = all(reference(name, other).address == subject.address for other in laws_of(name))
    assert declared_by(function).drafting == law or only, f"{name} has no function that declares {law}"
    assert DRAFTING[law].fixed_drafts in {None, subject.declaration.n_drafts}
    assert reference(name).declaration.drafting == laws_of(name)[0]


# ------------------------------------------------------------------------------------------------------------- scripts


def test_a_run_without_some_schemes_benchmarks_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check: Callable[[str], int] = runpy.run_path(str(ROOT / "scripts" / "check_benchmarks.py"))["main"]
    every = [{"extra_info": {"scheme": name}} for name in schemes.SCHEMES] + [{"extra_info": {}}]
    (tmp_path / "all.json").write_text(json.dumps({"benchmarks": every}))
    (tmp_path / "some.json").write_text(json.dumps({"benchmarks": every[1:]}))
    (tmp_path / "empty.json").write_text("")
    assert [check(str(tmp_path / f"{name}.json")) for name in ("all", "some", "empty", "gone")] == [0, 1, 1, 1]
    assert f"no benchmark of {next(iter(schemes.SCHEMES))}" in capsys.readouterr().out


def test_the_document_is_made_of_reports() -> None:
    document: Callable[..., str] = runpy.run_path(str(ROOT / "scripts" / "throughput.py"))["document"]
    found = bench("refuses", vocab=(8, 9), batch=(1,)).to_dict()
    text = document([found])
    assert "### cpu, with_replacement, n = 3, B = 1, dense rows" in text
    assert "| | V = 8 | V = 9 |" in text
    line = next(line for line in text.splitlines() if line.startswith("| `refuses`"))
    assert line.endswith("×) | refused |")
    assert "* `refuses`, with_replacement: at most 8 tokens (1 cells)" in text
    assert found["environment"]["torch"] in text
