"""The pytest plugin, through `pytester`: with and without workers, the same items and the same failures."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from spectest import UsageError, parametrize_with_checks
from spectest.conformance.bench import Benches
from spectest.runner import plan
from tests.ways_in.samples import write

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFORMANCE = ("--pyargs", "spectest.conformance", "-W", "error")
FEW = ("--spectest-checks", "smoke,support,rows", "--spectest-vocab", "5")
OWN = """
    import numpy as np
    import spectest

    def good(p, q, x, generator):
        return (generator.random((len(p), 1)) * p.sum(-1, keepdims=True) < p.cumsum(-1)).argmax(-1)

    def first(p, q, x, generator):
        return x[:, 0]

    def maker():
        return lambda p, q, x, generator: x[:, 0]

    @spectest.parametrize_with_checks(
        [good, first, maker(), "mine:good", "mine.py:first", "gone:select"], array="numpy", checks=["smoke"], vocab=5
    )
    def test_kernels(selector, check):
        assert "smoke" in repr(check)
        check(selector)
"""


@pytest.fixture(autouse=True)
def here(pytester: pytest.Pytester) -> None:
    write(pytester.path)


def outcomes(pytester: pytest.Pytester) -> dict[str, str]:
    """Return item -> passed, failure, error or skipped, of the last run."""
    cases = ET.parse(pytester.path / "junit.xml").getroot().iter("testcase")  # noqa: S314 (our own file)
    return {case.attrib["name"]: next((child.tag for child in case), "passed") for case in cases}


def reproduced(result: pytest.RunResult) -> set[str]:
    """Return the commands that failures end with."""
    return {line for line in result.outlines if line.startswith("Reproduce: ")}


def run(pytester: pytest.Pytester, *arguments: str, workers: int = 0) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-n", str(workers), "--junitxml=junit.xml", *arguments)


# --------------------------------------------------------------------------------------------------- the command line


@pytest.mark.parametrize("workers", [0, 2])
def test_without_a_selector_it_is_a_usage_error(pytester: pytest.Pytester, workers: int) -> None:
    result = run(pytester, *CONFORMANCE, workers=workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = filter(None, result.errlines)
    assert "--selector" in line


@pytest.mark.parametrize(("option", "value"), [("tier", "shallow"), ("dtype", "int8"), ("seed", "x")])
def test_bad_options_are_usage_errors(pytester: pytest.Pytester, option: str, value: str) -> None:
    result = run(pytester, *CONFORMANCE, "--selector", "mine:good", f"--spectest-{option}", value)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert option in "".join(result.errlines)


@pytest.mark.long
def test_same_items_and_same_failures_with_and_without_workers(pytester: pytest.Pytester) -> None:
    selectors = ("--selector", "mine:good", "--selector", "mine.py:first", "--selector", "mine:single")
    alone = run(pytester, *CONFORMANCE, *selectors, *FEW)
    assert alone.ret == pytest.ExitCode.TESTS_FAILED
    found = outcomes(pytester)
    assert found["test_conformance[mine:good-support-V5]"] == "passed"
    assert found["test_conformance[mine.py:first-support-V5]"] == "failure"
    assert found["test_conformance[mine.py:first-smoke-known-answers]"] == "failure"
    by_selector = {name: {found[x] for x in found if f"[{name}-" in x} for name in ("mine:good", "mine:single")}
    assert by_selector["mine:good"] == {"passed"}
    assert by_selector["mine:single"] == {"passed", "skipped"}  # rows are nothing to one that sees one position
    assert len(reproduced(alone)) == sum(outcome == "failure" for outcome in found.values())
    assert all(line.startswith("Reproduce: spectest replay ") for line in reproduced(alone))
    shared = run(pytester, *CONFORMANCE, *selectors, *FEW, workers=2)
    assert shared.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes(pytester) == found
    assert reproduced(shared) == reproduced(alone)


def test_what_a_failure_says(pytester: pytest.Pytester) -> None:
    """Inconclusive is a failure too; none shows a traceback of ours; the selectors share α."""
    selectors = ("--selector", "mine:first", "--selector", "mine:slow", "--spectest-alpha", "1e-5")
    options = ("--spectest-checks", "smoke,law", "--spectest-vocab", "64", "--spectest-budget", "1")
    result = run(pytester, *CONFORMANCE, *selectors, *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["smoke[[]known-answers[]] failed: row 0 of 1*", "inconclusive: law[[]V64[]]*"])
    result.stdout.no_fnmatch_line("*bench.py*")
    records = list((pytester.path / ".spectest" / "replay").glob("*.json"))
    assert records
    for record in records:
        assert json.loads(record.read_text())["config"]["alpha"] == pytest.approx(5e-6)


def test_declarations_can_be_given(pytester: pytest.Pytester) -> None:
    (pytester.path / "bare.py").write_text(
        "def select(p, q, x, g):\n    assert q.shape == (2, *p.shape)\n    return int(p.argmax())\n"
    )
    options = ("--spectest-array", "numpy", "--spectest-drafts", "2", "--spectest-no-batched")
    result = run(
        pytester,
        *CONFORMANCE,
        "--selector",
        "bare:select",
        *options,
        "--spectest-checks",
        "smoke",
        "--spectest-vocab",
        "5",
    )
    assert result.ret == pytest.ExitCode.OK


# --------------------------------------------------------------------------------------------- somebody's own test file


def test_own_test_file(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_own=OWN)
    result = run(pytester, "-W", "error", workers=2)
    name = "test_kernels[{}-smoke-known-answers]"
    right, wrong = ("good", "mine:good"), ("first", "maker.<locals>.<lambda>", "mine.py:first", "gone:select")
    expected = dict.fromkeys(map(name.format, right), "passed") | dict.fromkeys(map(name.format, wrong), "failure")
    assert outcomes(pytester) == expected
    result.stdout.fnmatch_lines(["cannot be verified: cannot import 'gone'*"])
    (local,) = [line for line in reproduced(result) if "replay" not in line]
    assert local == f"Reproduce: pytest 'test_own.py::{name.format('maker.<locals>.<lambda>')}'"


def test_a_failure_met_in_a_test_file_is_replayed_from_the_command_line(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("inside")  # on pytest's path, and on nobody else's
    (folder / "test_own.py").write_text(
        "import spectest\n\n"
        "def first(p, q, x, generator):\n    return x[:, 0]\n\n"
        "@spectest.parametrize_with_checks([first], array='numpy', checks=['smoke'], vocab=5)\n"
        "def test_first(selector, check):\n    check(selector)\n"
    )
    (command,) = reproduced(run(pytester))
    identity = command.split()[-1]
    again = pytester.run(sys.executable, "-m", "spectest", "replay", identity)
    assert again.ret == 1, again.outlines
    again.stdout.fnmatch_lines(["smoke[[]known-answers[]] failed: row 0 of 1*"])


def test_command_line_overrides_the_decorator(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_own="""
        import spectest

        @spectest.parametrize_with_checks(["mine:good"], checks=["law"], vocab=[5, 17], tier="standard")
        def test_good(selector, check):
            check(selector)
        """
    )
    result = run(pytester, "--collect-only", "-q", "--spectest-vocab", "64")
    result.stdout.fnmatch_lines(["*test_good[[]mine:good-law-V64[]]*"])
    result.stdout.no_fnmatch_line("*V5[]]*")
    result = run(pytester, "--collect-only", "-q", "--spectest-tier", "shallow")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*`tier` must be one of*"])


def test_alpha_is_shared_by_all_selectors_and_cases() -> None:
    benches = Benches()
    config = benches.config_of({"alpha": 1e-4, "vocab": 5}, {"seed": 2}, selectors=4)
    assert config.alpha == pytest.approx(2.5e-5)
    assert (config.vocab, config.seed) == ((5,), 2)
    assert 4 * sum(item.alpha for item in plan(config)) <= 1e-4 * (1 + 1e-12)


@pytest.mark.parametrize("selectors", [[], "mine:good", test_alpha_is_shared_by_all_selectors_and_cases, [3]])
def test_decorator_takes_a_list_of_selectors(selectors: Sequence[str]) -> None:
    with pytest.raises(UsageError, match="`selectors`"):
        parametrize_with_checks(selectors)


def test_items_are_named_apart() -> None:
    benches = Benches()
    config = benches.config_of({"checks": ["smoke"], "vocab": 5}, {})
    ids = [item.id for item in benches.parameters(["m:a", "m:b", "m:a"], config)]
    assert ids == ["m:a#0-smoke-known-answers", "m:b-smoke-known-answers", "m:a#2-smoke-known-answers"]
