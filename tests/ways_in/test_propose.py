"""`--propose`, on the command line, from pytest and from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import spectest
from spectest.cli import main
from tests.ways_in.samples import read_report

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '''
import numpy as np
import spectest


def draws(q, generator):
    """Independent drafts by inverse CDF."""
    cdf = q.cumsum(-1)
    return (generator.random((*q.shape[:2], 1)) * cdf[..., -1:] < cdf).argmax(-1)


def likeliest(q, generator):
    """The likeliest token, whatever q says."""
    return q.argmax(-1)


@spectest.selector(array="numpy")
def good(p, q, x, generator):
    """Lossless: it draws from the target."""
    return draws(p[:, None], generator)[:, 0]


@spectest.selector(array="numpy", propose=likeliest)
def pair(p, q, x, generator):
    return good(p, q, x, generator)
'''
FEW = ["--checks", "proposal,seam", "--vocab", "5"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pair.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_option_declares_a_proposer(here: Path) -> None:
    asked = ["verify", "pair.py:good", "--propose", "pair.py:draws", *FEW, "--json", "out.json"]
    assert main(asked) == 0
    report = read_report(here / "out.json")
    assert [check["name"] for check in report["checks"]] == ["proposal", "seam"]
    assert report["environment"]["declaration"]["propose"] == "pair.py:draws"


def test_the_option_overrides_the_decorator(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "pair.py:pair", *FEW]) == 1
    replayed = capsys.readouterr().out.partition("spectest replay ")[2].split()[0]
    assert main(["replay", replayed]) == 1
    assert "still fails" in capsys.readouterr().out
    assert main(["verify", "pair.py:pair", "--propose", "pair.py:draws", *FEW, "--quiet"]) == 0


def test_a_failure_of_an_overriding_proposer_is_replayed_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "pair.py:good", "--propose", "pair.py:likeliest", *FEW]) == 1
    replayed = capsys.readouterr().out.partition("spectest replay ")[2].split()[0]
    assert main(["replay", replayed]) == 1


@pytest.mark.parametrize("address", ["pair.py:nothing", "nothing", "gone:draws"])
def test_a_proposer_that_does_not_import_cannot_be_called(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "pair.py:good", "--propose", address, *FEW]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("spectest: ")


def test_from_python_a_proposer_is_a_callable_or_an_address() -> None:
    def last(q: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return np.full(q.shape[:2], q.shape[-1] - 1)

    def target(p: np.ndarray, q: np.ndarray, x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return (generator.random((len(p), 1)) * p.sum(-1, keepdims=True) < p.cumsum(-1)).argmax(-1)

    report = spectest.verify(target, array="numpy", propose=last, checks=["proposal"], vocab=5)
    assert report.verdict == "fail"
    assert report.environment["declaration"]["propose"].endswith("last")
    assert not report.environment["isolated"]
    assert spectest.verify("pair.py:good", propose="pair.py:draws", checks=["proposal"], vocab=5).verdict == "pass"
    with pytest.raises(spectest.UsageError, match="has no address"):
        spectest.verify("pair.py:good", propose=last, checks=["proposal"], vocab=5)


def test_pytest_takes_it_as_an_option(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(pair=SOURCE)
    result = pytester.runpytest_subprocess(
        "--pyargs", "spectest.conformance", "--selector", "pair.py:good", "--spectest-propose", "pair.py:likeliest",
        "--spectest-checks", "proposal", "--spectest-vocab", "5", "-p", "no:cacheprovider",
    )  # fmt: skip
    result.stdout.fnmatch_lines(["*FAILED*proposal-V5*"])


def test_without_a_proposer_both_checks_say_nothing(here: Path) -> None:
    assert main(["verify", "pair.py:good", "--checks", "proposal,seam,smoke", "--vocab", "5", "--json", "o.json"]) == 0
    assert [check["name"] for check in read_report(here / "o.json")["checks"]] == ["smoke"]
