"""What a hunt leaves: counter-examples on disk, put to the selector first, replayed; bad files; waivers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import spectest
from spectest import Problem
from spectest.checks.adversary.counterexample import Counterexample
from spectest.checks.adversary.hunting import retry
from spectest.checks.adversary.trial import Trial
from spectest.checks.base import Context
from spectest.cli import main
from spectest.engine import LocalSession
from spectest.report.words import grounds, spoken
from spectest.runner import counterexamples
from spectest.runner.config import configure
from spectest.runner.waivers import load_waivers
from tests.adversary import special
from tests.checks.bench import SMALL

if TYPE_CHECKING:
    from spectest.runner import Report
    from spectest.runner.report import CheckResult

#: Wrong where two tokens tie, until the file `fixed` lies beside it.
SOURCE = """
from pathlib import Path

import numpy as np

import spectest
from tests.adversary.special import COINCIDENCES, correct, unverified

wrong = unverified(COINCIDENCES["two tokens tie"])


@spectest.selector(array="numpy")
def tie(p, q, ids, generator):
    return (correct if Path("fixed").exists() else wrong)(p, q, ids, generator)


@spectest.selector(array="numpy")
def odd(p, q, ids, generator):
    return unverified(COINCIDENCES["the vocabulary is odd"])(p, q, ids, generator)
"""
ADDRESS = "mine.py:tie"
TIE = Counterexample(Trial((Problem([0.5, 0.5], [1.0, 0.0]),)), 30_000, "seen")
WAIVER = """
[[waiver]]
selector = "mine.py:tie"
check = "hunt"
issue = "mine#12"
"""
INLINE = "\n[waiver.counterexample]\ntarget = [0.5, 0.5]\ndraft = [1.0, 0.0]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(spectest.__path__[0]).parent))


def hunted(**options: Any) -> tuple[Report, CheckResult]:
    report = spectest.verify(ADDRESS, checks=["hunt"], **options)
    (check,) = report.checks
    return report, check


def case(check: CheckResult, name: str) -> Any:
    return next(item for item in check.cases if item.case == name)


# ---------------------------------------------------------------------------------------------------- stored


def test_what_was_found_is_stored_and_comes_first_until_it_is_fixed(capsys: pytest.CaptureFixture[str]) -> None:
    _, check = hunted()
    assert check.verdict == "fail"
    assert "no counter-example is stored" in case(check, "stored").detail
    failed = case(check, "small")
    assert failed.verdict == "fail"
    assert not failed.stateful
    assert failed.counterexample.problem.vocab_size <= 4
    assert repr(failed.counterexample.problem) in failed.detail
    files = list(counterexamples.folder(ADDRESS).glob("*.json"))
    assert files
    assert counterexamples.read(files[0]).detail in {item.counterexample.detail for item in check.cases[1:]}

    assert main(["replay", failed.replay]) == 1
    assert repr(failed.counterexample.problem) in capsys.readouterr().out
    _, again = hunted(seed=5)
    assert "a stored counter-example still fails" in case(again, "stored").detail
    assert main(["replay", case(again, "stored").replay]) == 1

    Path("fixed").touch()
    report, fixed = hunted()
    assert report.exit_code == 0, fixed.detail
    assert "stored counter-examples pass" in case(fixed, "stored").detail
    assert main(["replay", failed.replay]) == 0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"version": 0}', '{"version": 1, "samples": 5, "detail": "", "problems": []}', "\x00"],
)
def test_foreign_files_are_named_in_one_line(content: str) -> None:
    Path("fixed").touch()
    counterexamples.save(ADDRESS, TIE)
    (counterexamples.folder(ADDRESS) / "foreign.json").write_text(content)
    (counterexamples.folder(ADDRESS) / "folder.json").mkdir()
    stored = counterexamples.load(ADDRESS)
    assert [item.identity for item in stored.found] == [TIE.identity]
    assert len(stored.unreadable) == 2
    assert any("foreign.json" in line and "\n" not in line for line in stored.unreadable)


def test_a_run_says_what_it_could_not_read() -> None:
    Path("fixed").touch()
    counterexamples.save(ADDRESS, TIE)
    (counterexamples.folder(ADDRESS) / "foreign.json").write_text("{")
    report, check = hunted()
    assert report.exit_code == 0
    (line,) = case(check, "stored").detail.splitlines()
    assert "1 stored counter-examples pass" in line
    assert "foreign.json" in line


def test_selectors_do_not_share_a_folder() -> None:
    names = {counterexamples.folder(address) for address in ("a.b:c", "a-b:c", "a/b.py:c", "x" * 300 + ":c", "ü:ü")}
    assert len(names) == 5
    assert all(len(folder.name) < 60 for folder in names)


def test_laws_survive_a_file_bit_for_bit() -> None:
    problem = Problem([1 / 3, 1 - 1 / 3], [[0.1, 0.9], [1e-300, 1.0]], 2, "independent")
    counterexamples.save("x", Counterexample(Trial((problem, problem)), 10, "seen\nagain"))
    (found,) = counterexamples.load("x").found
    assert found.trial.digest == Trial((problem, problem)).digest
    assert (found.samples, found.detail) == (10, "seen\nagain")


def test_nothing_can_be_written() -> None:
    Path(".spectest").write_text("in the way")
    assert counterexamples.save("x", TIE) is None
    assert counterexamples.load("x") == ((), ())


@pytest.mark.parametrize("seed", range(5))
def test_a_counterexample_that_still_fails_does_so_at_any_seed(seed: int) -> None:
    context = Context(LocalSession(special.unverified(special.COINCIDENCES["two tokens tie"])), SMALL, 1e-9)
    assert retry(context, TIE, alpha=1e-9)[0] is not None
    context = Context(LocalSession(special.correct), SMALL, 1e-9)
    assert retry(context, TIE, alpha=1e-9)[0] is None


# ---------------------------------------------------------------------------------------------------- waivers


def waive(text: str) -> str:
    Path("waivers.toml").write_text(text)
    return "waivers.toml"


def test_a_waived_failure_does_not_fail_the_run() -> None:
    report, check = hunted(waivers=waive(WAIVER + INLINE))
    assert report.exit_code == 0
    assert case(check, "small").verdict == "pass"
    assert case(check, "small").detail.startswith("waived (mine#12): ")
    assert check.detail.startswith("waived (mine#12)")
    assert spoken(check) == "waived"
    excused = sum(item.detail.startswith("waived") for item in check.cases)
    clean = len(check.cases) - excused
    assert f"{clean} cases of 1 checks found no deviation; {excused} more failed and are waived" in grounds(report)
    assert not Path(".spectest").exists()  # nothing to replay


def test_an_unexpected_pass_fails_the_run() -> None:
    Path("fixed").touch()
    report, check = hunted(waivers=waive(WAIVER + INLINE))
    assert report.exit_code == 1
    assert "unexpected pass" in check.detail
    assert "remove the waiver" in check.detail
    assert "mine#12" in check.detail
    assert check.replay is None


def test_a_waiver_covers_its_case_alone() -> None:
    counterexamples.save("anything", TIE)
    stored = counterexamples.folder("anything") / f"{TIE.identity}.json"
    text = WAIVER + f'case = "small"\ncounterexample = "{stored}"\n'
    report, check = hunted(waivers=waive(text))
    assert report.exit_code == 1
    assert case(check, "small").detail.startswith("waived (mine#12)")
    assert case(check, "medium").verdict == "fail"


def test_without_a_counterexample_the_case_itself_must_fail() -> None:
    text = waive(WAIVER + 'case = "small"\n')
    _, check = hunted(waivers=text)
    assert case(check, "small").detail.startswith("waived")
    Path("fixed").touch()
    report, check = hunted(waivers=text)
    assert report.exit_code == 1
    assert "unexpected pass" in case(check, "small").detail


def test_a_case_that_no_run_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", ADDRESS, "--waivers", waive(WAIVER + 'case = "smal"' + INLINE)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "mine#12: check hunt has no case 'smal'; there are stored, small, medium" in line
    law = WAIVER.replace("hunt", "law") + 'case = "V32000"' + INLINE
    assert configure(waivers=waive(law)).waivers[0].case == "V32000"  # a size of another run


def test_one_of_two_waivers_whose_failure_is_gone_fails_the_run() -> None:
    gone = WAIVER.replace("12", "13") + INLINE.replace("[0.5, 0.5]", "[0.4, 0.6]")
    report, check = hunted(waivers=waive(WAIVER + INLINE + gone))
    assert report.exit_code == 1
    assert "the counter-example of mine#13 no longer fails" in check.detail


def test_another_selectors_waiver_changes_nothing() -> None:
    report, _ = hunted(waivers=waive(WAIVER.replace("tie", "odd") + INLINE))
    assert report.exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("waiver", "cannot be read"),
        ("x = 1", "[[waiver]]"),
        ("waiver = 1", "[[waiver]]"),
        ("waiver = [1]", "[[waiver]]"),
        (WAIVER.replace('"hunt"', '"hunts"') + INLINE, "unknown check"),
        (WAIVER.replace('"mine#12"', '" "') + INLINE, "`issue`"),
        (WAIVER.replace('"mine#12"', "12") + INLINE, "`issue`"),
        (WAIVER.replace("issue", "reason") + INLINE, "reason"),
        ('[[waiver]]\nselector = "a:b"\ncheck = "law"' + INLINE, "`issue`"),
        (WAIVER, "`case`"),
        (WAIVER + "case = 1" + INLINE, "`case`"),
        (WAIVER + 'counterexample = "gone.json"', "gone.json"),
        (WAIVER + "counterexample = 3", "path or a table"),
        (WAIVER + INLINE + "n = 2", "unknown n"),
        (WAIVER + INLINE.replace("1.0", "0.7"), "sum to 1"),
        (WAIVER + INLINE + "samples = 0", "samples"),
        (WAIVER + INLINE.replace("draft", "x"), "unknown x"),
        (WAIVER + "[waiver.counterexample]\ntarget = [1.0]", "draft"),
    ],
)
def test_bad_waiver_files_are_refused_in_one_line(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", ADDRESS, "--waivers", waive(text)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line
    assert "waivers.toml" in line


def test_there_is_no_such_file() -> None:
    with pytest.raises(spectest.UsageError, match=r"gone\.toml"):
        load_waivers(Path("gone.toml"))


def test_the_command_line_says_what_is_waived(capsys: pytest.CaptureFixture[str]) -> None:
    path = waive(WAIVER + 'case = "small"' + INLINE)
    arguments = ["verify", "mine.py:tie", "--checks", "hunt", "--json", "report.json", "--waivers", path]
    assert main(arguments) == 1  # other cases are not waived
    capsys.readouterr()
    report = json.loads(Path("report.json").read_text())
    small = next(item for item in report["checks"][0]["cases"] if item["case"] == "small")
    assert small["verdict"] == "pass"
    assert small["detail"].startswith("waived (mine#12)")
    assert "counterexample" not in small


def test_under_pytest_it_is_an_expected_failure(pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.py").write_text(SOURCE)
    (pytester.path / "waivers.toml").write_text(WAIVER + INLINE)
    options = ["--pyargs", "spectest.conformance", "--selector", ADDRESS, "--spectest-checks", "hunt"]
    options += ["--spectest-waivers", "waivers.toml", "-k", "hunt-small", "-p", "no:cacheprovider"]
    assert pytester.runpytest_subprocess(*options).parseoutcomes()["xfailed"] == 1
    (pytester.path / "fixed").touch()
    result = pytester.runpytest_subprocess(*options)
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*unexpected pass*"])
