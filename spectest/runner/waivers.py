"""Waivers: failures that are known, each with its issue and the counter-example that still shows it.

A waived case does not fail the run while its counter-example still fails; once that passes, the run fails until the
waiver is removed. The file is TOML:

    [[waiver]]
    selector = "my_kernels:select"
    check = "hunt"
    case = "small"                     # left out: every case of the check
    issue = "https://github.com/me/kernels/issues/12"
    counterexample = "tie.json"        # a stored one, relative to this file; or the problem itself:

    [waiver.counterexample]
    target = [0.5, 0.5]
    draft = [0.0, 1.0]
    n_drafts = 1                       # and drafting, `with_replacement` by default
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spectest import checks
from spectest.checks.adversary.counterexample import Counterexample
from spectest.checks.adversary.trial import Trial
from spectest.errors import SpectestError, UsageError
from spectest.problem import Problem
from spectest.runner.counterexamples import read

if TYPE_CHECKING:
    from pathlib import Path

_KEYS: Final = {"selector", "check", "case", "issue", "counterexample"}
_PROBLEM: Final = {"target", "draft", "n_drafts", "drafting", "samples"}
#: Samples of a counter-example that does not say how many show it: a total variation of 0.01 is missed next to never.
_SAMPLES: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class Waiver:
    """One known failure.

    Args:
        selector: address, as it is given to the run.
        check: that fails.
        case: of it, None for every one.
        issue: where the failure is tracked.
        counterexample: that shows it. None where no problem does (a check of determinism, say): then the case itself
            must fail.
    """

    selector: str
    check: str
    case: str | None
    issue: str
    counterexample: Counterexample | None

    def covers(self, selector: str, check: str, case: str) -> bool:
        """Return whether it is about this case."""
        return (selector, check) == (self.selector, self.check) and self.case in {None, case}


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """Return the waivers in a file.

    Raises:
        UsageError: it cannot be read, or an entry lacks something; the message says which and what.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        msg = f"`--waivers` {path} cannot be read: {error}"
        raise UsageError(msg) from error
    entries = content.pop("waiver", [])
    if content or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        msg = f"`--waivers` {path} must hold [[waiver]] entries and nothing else, got {sorted(content) or 'a waiver'}"
        raise UsageError(msg)
    numbered = enumerate(entries, start=1)
    return tuple(_waiver(entry, f"`--waivers` {path}, entry {number}", path.parent) for number, entry in numbered)


def _waiver(entry: dict[str, Any], where: str, home: Path) -> Waiver:
    if unknown := set(entry) - _KEYS:
        msg = f"{where}: unknown {', '.join(sorted(unknown))}; there are {', '.join(sorted(_KEYS))}"
        raise UsageError(msg)
    text = {name: entry.get(name) for name in ("selector", "check", "issue", "case")}
    for name, value in text.items():
        if name == "case" and value is None:
            continue
        if not isinstance(value, str) or not value.strip():
            msg = f"{where}: `{name}` must be a text that is not empty, got {value!r}"
            raise UsageError(msg)
    try:
        checks.get(str(text["check"]))
    except UsageError as error:
        msg = f"{where}: {error}"
        raise UsageError(msg) from error
    found = _counterexample(entry.get("counterexample"), where, home)
    if found is None and text["case"] is None:
        msg = f"{where}: without a `counterexample` it must name its `case`, which must then fail itself"
        raise UsageError(msg)
    return Waiver(str(text["selector"]), str(text["check"]), text["case"], str(text["issue"]), found)


def _counterexample(given: object, where: str, home: Path) -> Counterexample | None:
    if given is None:
        return None
    try:
        if isinstance(given, str):
            return read(home / given)
        if not isinstance(given, dict):
            msg = f"it must be a path or a table, got {type(given).__name__}"
            raise ValueError(msg)  # noqa: TRY004, TRY301 (one handler for all that can be wrong)
        if unknown := set(given) - _PROBLEM:
            msg = f"unknown {', '.join(sorted(unknown))}; there are {', '.join(sorted(_PROBLEM))}"
            raise ValueError(msg)  # noqa: TRY301 (as above)
        samples = {"samples": given.get("samples", _SAMPLES)}
        problem = Problem(**{name: value for name, value in given.items() if name not in samples})
        stored = {"version": 1, **Trial((problem,)).to_dict(), **samples, "detail": "as the waiver says"}
        return Counterexample.from_dict(stored)
    except (ValueError, TypeError, SpectestError) as error:
        msg = f"{where}: `counterexample`: {error}"
        raise UsageError(msg) from error
