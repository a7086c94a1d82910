"""Reports: nothing is cut, nothing in them is taken for markup, and the schema says what is there."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from rich.console import Console

from spectest.checks.result import AcceptanceResult, CaseResult
from spectest.errors import UsageError
from spectest.report import JsonFile, LiveProgress, failure, print_report, schema, verdict_line
from spectest.runner import Planned, Report
from tests.ways_in.samples import read_report

if TYPE_CHECKING:
    from pathlib import Path

LONG = "the reason " * 60
FAILED = CaseResult(
    "law",
    "V5",
    "fail",
    f"{LONG}[bold] :smile: a:b:c\ntoken 3: expected 1, observed 2",
    alpha=1e-7,
    p_value=1e-12,
    statistic=float("inf"),
    traceback="Traceback: inner",
    replay="abc123",
)
PASSED = CaseResult("smoke", "known-answers", "pass", "43 rows", samples=43)
UNDECIDED = CaseResult("law", "V64", "inconclusive", "too few samples", delta=0.3)
MEASURED = AcceptanceResult("V5", 5, 3, 1000, 0.5, 0.45, 0.55, 0.75, "prefix", None)
ACCEPTED = CaseResult("acceptance", "V5", "pass", "acceptance 0.5", samples=1000, acceptance=MEASURED)
REPORT = Report("mine:first", 1e-6, (PASSED, FAILED, UNDECIDED, ACCEPTED), {"seed": 3, "tier": "quick"})


def printed(report: Report, width: int = 80, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_report(report, console, seconds=1.25, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_failures_are_printed_in_full_whatever_the_width() -> None:
    said = printed(REPORT, width=40)
    assert f"law[V5] failed: {FAILED.detail}\nReproduce: spectest replay abc123\n" in said
    assert "law[V64] inconclusive: too few samples\n" in said
    assert "inner" not in said
    assert "inner" in printed(REPORT, verbose=True)


def test_what_several_cases_say_alike_is_said_once() -> None:
    """With how many more there are; what failed comes first, and `verbose` has them all."""
    raised = replace(FAILED, detail="it raised ValueError: boom")
    late = CaseResult("batch", "B1", "inconclusive", "not run: it hung")
    cases = (
        late,
        replace(late, case="B2"),
        raised,
        replace(raised, case="V64"),
        replace(raised, check="edge", case="a"),
    )
    report = replace(REPORT, cases=(*cases, replace(FAILED, check="edge", case="b", detail="else")))
    said = printed(report, width=200)
    assert said.count("\nlaw[V5] failed: it raised ValueError: boom\nReproduce: ") == 1
    assert "\n  2 other cases of law, edge said the same\n" in said
    assert "edge[a] failed" not in said
    assert "law[V64] failed" not in said
    assert "  also edge[b] failed: else  (spectest replay abc123)\n" in said
    assert said.index("edge[b] failed") < said.index(
        "batch[B1] inconclusive: not run: it hung\n  1 other case of batch said"
    )
    assert "law[V64] failed: it raised" in printed(report, width=200, verbose=True)


def test_summary_has_a_row_for_each_check_and_the_acceptance() -> None:
    rows = [line.split() for line in printed(REPORT, width=200).splitlines()]
    assert ["smoke", "passed", "1", "43"] in [row[:4] for row in rows]
    assert ["law", "failed", "2", "0", "0.3", "1e-12"] in [row[:6] for row in rows]
    (acceptance,) = [row for row in rows if row[:3] == ["V5", "5", "3"]]
    assert acceptance[3:] == ["1,000", "0.5000", "0.4500", "–", "0.5500", "0.7500", "–", "66.67%"]


def test_last_line_is_the_verdict() -> None:
    assert printed(REPORT).splitlines()[-1] == verdict_line(REPORT, 1.25)
    assert verdict_line(REPORT, 1.25) == "mine:first fails: law (1 of 3 checks) (α = 1e-06, seed 3, 1.2 s)"


@pytest.mark.parametrize(
    ("cases", "interrupted", "said"),
    [
        ((PASSED,), False, "conforms: 1 cases of 1 checks"),
        ((PASSED, UNDECIDED), False, "inconclusive: law[V64]"),
        ((), False, "inconclusive: no check says anything"),
        ((PASSED,), True, "inconclusive; interrupted"),
        ((FAILED,), True, "fails: law (1 of 1 checks); interrupted"),
    ],
)
def test_verdict_in_words(cases: tuple[CaseResult, ...], interrupted: bool, said: str) -> None:  # noqa: FBT001
    assert f"m:s {said}" in verdict_line(Report("m:s", 1e-6, cases, {}, interrupted), 0.0)


def test_a_failure_without_a_record_says_how_else_to_reproduce_it() -> None:
    assert failure(replace(FAILED, replay=None), "pytest 'x'").splitlines()[-1] == "Reproduce: pytest 'x'"
    assert "law[V5] failed, stateful: " in failure(replace(FAILED, stateful=True), "")


# ----------------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize("report", [REPORT, Report("m:s", 1e-6, (), {}, interrupted=True)])
def test_json_follows_its_schema(report: Report, tmp_path: Path) -> None:
    with JsonFile(tmp_path / "r.json") as file:
        file.write(report)
    found = read_report(tmp_path / "r.json")
    assert found["verdict"] == report.verdict
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    with JsonFile(tmp_path / "r.json") as file:
        file.write(REPORT)
    found = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert found["checks"][1]["statistic"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"verdict": "passed"},
        {"alpha": 2},
        {"checks": [{"name": "law"}]},
        {"acceptance": {"measured": 0.5}},
        {"surplus": 1},
    ],
)
def test_schema_refuses_what_is_no_report(change: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    found = json.loads(json.dumps(replace(REPORT, cases=(PASSED, ACCEPTED)).to_dict()))
    jsonschema.validate(found, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found | change, schema())


@pytest.mark.parametrize(
    "key", ["schema", "verdict", "selector", "alpha", "checks", "problems", "acceptance", "environment"]
)
def test_schema_asks_for_what_was_promised(key: str) -> None:
    found = json.loads(json.dumps(replace(REPORT, cases=(PASSED, ACCEPTED)).to_dict()))
    del found[key]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, schema())


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    with JsonFile(tmp_path / "r.json") as file:
        assert (tmp_path / "r.json").read_text() == "old"
        file.write(REPORT)
    assert read_report(tmp_path / "r.json")["verdict"] == "fail"
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "r.json").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_nothing_is_left_of_a_report_that_was_not_written(tmp_path: Path) -> None:
    with JsonFile(tmp_path / "r.json"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_unwritable_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone"):
        JsonFile(tmp_path / "gone" / "r.json")
    with pytest.raises(UsageError, match="directory"):
        JsonFile(tmp_path)


# ------------------------------------------------------------------------------------------------------------- progress


def test_progress_counts_cases_and_samples_from_several_threads() -> None:
    cases = [Planned("law", f"V{size}", 1e-8, 100.0) for size in range(40)]
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with LiveProgress(console) as progress:
        progress.planned(cases)

        def work(mine: list[Planned]) -> None:
            for case in mine:
                for samples in (50, 100, 30, 60):  # two experiments, of 100 and 60 samples
                    progress.progress(case, samples, 100)
                progress.finished(case, None)

        workers = [threading.Thread(target=work, args=(cases[start::4],)) for start in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert progress._samples == 40 * 160
        task = progress._bar.tasks[0]
        assert task.finished
        assert task.fields["cases"] == "40/40 cases"
    assert isinstance(console.file, io.StringIO)
    assert "40/40 cases" in console.file.getvalue()
