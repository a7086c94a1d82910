"""The command line: exit codes, one line where nothing can be called, reports, replays."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import spectest
from spectest.cli import main
from spectest.problem import DRAFTING
from tests.ways_in.samples import SOURCE, read_report, write

if TYPE_CHECKING:
    from pathlib import Path

FEW = ["--checks", "smoke,support", "--vocab", "5"]
TARGET, DRAFT = [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", TARGET)
    np.save("q.npy", DRAFT)
    np.save("rows.npy", [DRAFT, [0.1, 0.1, 0.8]])
    np.save("narrow.npy", [0.5, 0.5, 0.0])
    np.save("no-law.npy", [0.5, 0.5, 0.5])
    return tmp_path


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said on stderr: one line, and nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


# ---------------------------------------------------------------------------------------------- cannot be called at all


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "Missing command"),
        ("bogus", "bogus"),
        ("verify", "name a selector"),
        ("verify mine.py:good --bogus", "--bogus"),
        ("verify mine.py:good --alpha many", "--alpha"),
        ("verify mine.py:good --alpha 2", "`alpha`"),
        ("verify mine.py:good --seed -1", "`seed`"),
        ("verify mine.py:good --tier shallow", "quick, standard, deep"),
        ("verify mine.py:good --vocab 5,x", "`vocab`"),
        ("verify mine.py:good --vocab 1", "`vocab`"),
        ("verify mine.py:good --checks law,lore", "lore"),
        ("verify mine.py:good --drafting bogus", "`drafting`"),
        ("verify mine.py:good --dtype int8", "`dtype`"),
        ("verify mine.py:good --tolerance 2", "`tolerance`"),
        ("verify mine.py:good --target p.npy", "--draft"),
        ("verify mine.py:good --draft q.npy", "--target"),
        ("verify mine.py:good --target p.npy --draft gone.npy", "gone.npy"),
        ("verify mine.py:good --target no-law.npy --draft q.npy", "sum to 1"),
        ("verify mine.py:good --target p.npy --draft q.npy --vocab 5", "`vocab`"),
        ("verify mine.py:good --json gone/report.json", "gone/report.json"),
        ("verify mine.py:good --json .", "--json"),
        ("verify mine.py", "pkg.mod:name"),
        ("optimum --target p.npy", "--draft"),
        ("optimum --target p.npy --draft mine.py", "mine.py cannot be read as a .npy file: it holds no plain array"),
        ("optimum --target p.npy --draft q.npy --drafts 0", "`n_drafts`"),
        ("replay 0123456789", "0123456789"),
        ("replay ../mine", "../mine"),
        ("golden check --dir gone", "gone"),
    ],
)
def test_unusable_requests_are_refused_in_one_line(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    assert said in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("mine.py:bogus", "bogus"),
        ("mine:number", "not callable"),
        ("gone.py:good", "gone.py"),
        ("gone.module:good", "gone"),
        ("mine.py:good --kind chain", "chain"),
        ("mine.py:tree", "tree"),
        ("mine.py:good --device cuda", "`device`"),
        ("mine.py:good --scheme bogus --checks acceptance --vocab 5", "bogus"),
        ("mine.py:good --scheme single_draft", "`n_drafts` must be 1 for single_draft, got 3"),
        (
            "mine.py:good --scheme seats --drafting without_replacement",
            "at most 2 for seats without replacement, got 3",
        ),
        ("mine.py:good --target p.npy --draft rows.npy", "draft `independent`"),
        ("mine.py:good --target p.npy --draft narrow.npy --drafting without_replacement", "`n_drafts`"),
        ("mine.py:good --drafting hub --drafts 3", "`n_drafts` must be 2"),
    ],
)
def test_selectors_that_cannot_be_called_are_refused_in_one_line(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", *arguments.split()]) == 2
    assert said in one_line(capsys)


def test_traceback_of_an_import_is_shown_with_verbose_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "broken.py").write_text("def inner():\n    return 1 / 0\n\ninner()\n")
    assert main(["verify", "broken.py:select"]) == 2
    assert "ZeroDivisionError" in one_line(capsys)
    assert main(["verify", "broken.py:select", "--verbose"]) == 2
    assert "in inner" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_known_before_the_selector_is_imported(here: Path) -> None:
    (here / "marks.py").write_text(SOURCE + "\nPath('imported').touch()\n")
    assert main(["verify", "marks.py:good", "--json", "gone/report.json"]) == 2
    assert not (here / "imported").exists()


def test_an_unusable_run_leaves_an_earlier_report_alone(here: Path) -> None:
    (here / "report.json").write_text("earlier")
    assert main(["verify", "mine.py:bogus", "--json", "report.json"]) == 2
    assert (here / "report.json").read_text() == "earlier"
    assert [path.name for path in here.iterdir() if path.name.startswith(".report")] == []


def test_a_bug_of_ours_is_no_failed_check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("spectest.optimum.optimal_acceptance", lambda *_: 1 / 0)
    assert main(["optimum", "--target", "p.npy", "--draft", "q.npy"]) == 2
    assert "internal error" in one_line(capsys)


# ------------------------------------------------------------------------------------------------------------- verdicts


def test_conforming(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "mine.py:good", *FEW, "--json", "report.json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # no progress where nobody watches
    assert "\x1b" not in captured.out
    last = captured.out.splitlines()[-1]
    assert last.startswith("mine.py:good conforms")
    assert "α = 1e-06" in last
    assert "seed 0" in last
    report = read_report(here / "report.json")
    assert report["verdict"] == "pass"
    assert [check["name"] for check in report["checks"]] == ["smoke", "support"]
    assert report["environment"]["declaration"]["array"] == "numpy"


def test_failing_and_replaying(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "mine:first", *FEW, "--json", "report.json"]) == 1
    said = capsys.readouterr().out
    report = read_report(here / "report.json")
    assert report["verdict"] == "fail"
    for check in report["checks"]:
        for case in check["cases"]:
            failed = f"{case['check']}[{case['case']}] failed: "
            if case["replay"] == check["replay"]:  # the case that decided is shown whole
                assert f"{failed}{case['detail']}\nReproduce: spectest replay {case['replay']}\n" in said
            else:
                assert f"also {failed}{case['detail'].splitlines()[0]}  (spectest replay {case['replay']})\n" in said
    identity = report["checks"][0]["replay"]
    assert main(["replay", identity]) == 1
    assert f"Reproduce: spectest replay {identity}" in capsys.readouterr().out
    (here / "mine.py").write_text(SOURCE.replace("return x[:, 0]", "return good(p, q, x, generator)"))
    assert main(["replay", identity]) == 0
    assert "fixed" in capsys.readouterr().out


def test_exitfirst_ends_with_the_first_failure(here: Path) -> None:
    assert main(["verify", "mine.py:first", "-x", "--quiet", "--json", "report.json"]) == 1
    cases = [case for check in read_report(here / "report.json")["checks"] for case in check["cases"]]
    assert 1 <= sum(case["verdict"] == "fail" for case in cases) <= 2  # two workers
    assert len(cases) < 20


def test_inconclusive() -> None:
    assert main(["verify", "mine.py:slow", "--checks", "law", "--vocab", "64", "--budget", "1", "--quiet"]) == 3


def test_quiet_prints_the_verdict_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "mine.py:good", "--checks", "smoke", "--quiet"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "conforms" in line
    assert main(["verify", "mine.py:first", *FEW, "--quiet"]) == 1
    smoke, support, verdict = capsys.readouterr().out.splitlines()
    assert smoke.startswith("smoke[known-answers]: ")
    assert support.startswith("support[V")
    assert "fails: smoke, support (2 of 2 checks)" in verdict


def test_verbose_prints_every_case_and_the_selectors_traceback(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "raises.py").write_text("def inner():\n    raise KeyError('k')\n\ndef select(p, q, x, g):\n    inner()\n")
    arguments = ["verify", "raises.py:select", "--array", "numpy", *FEW]
    assert main(arguments) == 1
    assert "in inner" not in capsys.readouterr().out
    assert main([*arguments, "--verbose"]) == 1
    said = capsys.readouterr().out
    assert "in inner" in said
    assert "[V33]" in said


def test_deviations_of_a_selector_declared_lossy_are_no_failure() -> None:
    assert main(["verify", "mine.py:first", "--checks", "smoke,law", "--vocab", "5", "--no-lossless", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("selector", "options", "problem", "draft"),
    [
        ("two", [], (2, "without_replacement"), "q.npy"),
        ("two", ["--drafts", "3"], (3, "without_replacement"), "q.npy"),
        ("two", ["--drafting", "with_replacement"], (2, "with_replacement"), "q.npy"),
        ("good", ["--drafting", "hub"], (2, "hub"), "q.npy"),
        ("good", [], (3, "with_replacement"), "q.npy"),
        ("good", ["--drafting", "independent"], (2, "independent"), "rows.npy"),
    ],
)
def test_own_problem_follows_the_declaration_and_the_command_line_overrides_it(
    here: Path, selector: str, options: list[str], problem: tuple[int, str], draft: str
) -> None:
    own = ["--target", "p.npy", "--draft", draft, "--checks", "acceptance", "--json", "report.json", "--quiet"]
    assert main(["verify", f"mine.py:{selector}", *own, *options]) == 0
    (met,) = read_report(here / "report.json")["problems"]
    best = spectest.optimal_acceptance(TARGET, np.load(draft), *problem)
    assert (met["V"], met["n"]) == (3, problem[0])
    assert met["optimum"] == pytest.approx(best.value, abs=1e-12)


def test_a_report_lost_at_the_end_is_said_after_the_summary(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "reports").mkdir()
    (here / "removes.py").write_text(SOURCE + "\nimport shutil\nshutil.rmtree('reports', ignore_errors=True)\n")
    arguments = ["--checks", "smoke", "--json", "reports/r.json"]
    assert main(["verify", "removes.py:good", *arguments]) == 2
    captured = capsys.readouterr()
    assert "conforms" in captured.out
    assert "reports/r.json" in captured.err
    (here / "reports").mkdir()
    assert main(["verify", "removes.py:first", *arguments]) == 1


def test_a_pipe_takes_a_report() -> None:
    assert main(["verify", "mine.py:good", "--checks", "smoke", "--quiet", "--json", "/dev/null"]) == 0


# ------------------------------------------------------------------------------------------------------ other commands


def test_list_checks(capsys: pytest.CaptureFixture[str]) -> None:
    from spectest.checks import CHECKS

    assert main(["verify", "--list-checks"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(CHECKS)


@pytest.mark.parametrize("drafting", [law for law in DRAFTING if law != "independent"])
def test_optimum(drafting: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["optimum", "--target", "p.npy", "--draft", "q.npy", "--drafts", "2", "--drafting", drafting]
    best = spectest.optimal_acceptance(TARGET, DRAFT, 2, drafting)
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == best.to_dict()
    assert main(arguments) == 0
    assert repr(best.value) in capsys.readouterr().out


def test_optimum_of_a_law_that_fixes_the_number_of_drafts(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["optimum", "--target", "p.npy", "--draft", "q.npy", "--drafting", "hub"]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == spectest.optimal_acceptance(TARGET, DRAFT, 2, "hub").value
    assert main([*arguments, "--drafts", "3"]) == 2
    assert "`n_drafts` must be 2 for hub, got 3" in one_line(capsys)


def test_golden(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "build", "--dir", "tables"]) == 0
    assert main(["golden", "check", "--dir", "tables"]) == 0
    capsys.readouterr()
    assert main(["golden", "show", "--dir", "tables", "--quantity", "optimum"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 1
    table = next(here.joinpath("tables").glob("*.csv"))
    table.write_text(table.read_text().replace("optimum,0.", "optimum,1.", 1))
    assert main(["golden", "check", "--dir", "tables"]) == 1


def test_version_and_help_are_light() -> None:
    code = (
        "import sys; from spectest.cli import main\n"
        "codes = [main(['--version']), main(['--help']), main(['verify', '--help'])]\n"
        "print(codes, sorted({'torch', 'scipy', 'numpy', 'hypothesis', 'pytest'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert child.stdout.splitlines()[0] == f"spectest {spectest.__version__}"
    assert child.stdout.splitlines()[-1] == "[0, 0, 0] []"


def test_the_watching_process_needs_no_torch() -> None:
    code = (
        "import sys; from spectest.cli import main\n"
        "code = main(['verify', 'mine.py:first', '--vocab', '5', '--checks', 'smoke,law,acceptance', '--quiet',"
        " '--scheme', 'target_only'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert child.stdout.splitlines()[-1] == "1 False"
