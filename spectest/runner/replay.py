"""Replay records: a failed case, kept so that one command runs it again with the same seeds."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spectest.checks.adversary.counterexample import Counterexample
from spectest.engine.address import addressed
from spectest.errors import UsageError
from spectest.problem import Problem
from spectest.runner.case import run_case
from spectest.runner.config import RunConfig, plan
from spectest.runner.counterexamples import Stored
from spectest.runner.sessions import Opener, cores

if TYPE_CHECKING:
    from spectest.checks.result import CaseResult

DIRECTORY: Final = Path(".spectest") / "replay"
_VERSION: Final = 1
_ID_BYTES: Final = 5


def _path() -> tuple[str, ...]:
    return tuple(entry or str(Path.cwd()) for entry in sys.path)


@dataclass(frozen=True)
class Record:
    """What a replay needs: the selector's address, the run's configuration, the case, the engine's chunk size.

    `path` is where the run found modules: a test runner adds folders of its own.
    """

    address: str
    config: RunConfig
    check: str
    case: str
    cap: int | None
    path: tuple[str, ...] = field(default_factory=_path)
    counterexample: Counterexample | None = None  # what the case found: put to the selector first

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        config = {
            key: getattr(self.config, key)
            for key in ("tier", "alpha", "beta", "delta", "seed", "vocab", "budget", "timeout")
        }
        problem = self.config.problem
        given = {key: value for key, value in self.config.overrides.items() if value is not None}
        return {
            "version": _VERSION,
            "address": self.address,
            "path": list(self.path),
            "check": self.check,
            "case": self.case,
            "cap": self.cap,
            "config": config,
            "overrides": addressed(given, self.address),
            "counterexample": self.counterexample and self.counterexample.to_dict(),
            "problem": problem
            and {
                "target": problem.target.tolist(),
                "draft": problem.draft.tolist(),
                "n_drafts": problem.n_drafts,
                "drafting": problem.drafting,
                "name": problem.name,
            },
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Record:
        """Return the record a dict describes.

        Raises:
            KeyError, TypeError, ValueError: it is not a record.
        """
        if stored["version"] != _VERSION:
            msg = f"written by another version of spectest ({stored['version']})"
            raise ValueError(msg)
        config = dict(stored["config"])
        config["vocab"] = tuple(config["vocab"]) if config["vocab"] else None
        problem = Problem(**stored["problem"]) if stored["problem"] else None
        run = RunConfig(**config, problem=problem, overrides=stored["overrides"])
        found = stored.get("counterexample")
        return cls(
            stored["address"],
            run,
            stored["check"],
            stored["case"],
            stored["cap"],
            tuple(stored["path"]),
            None if found is None else Counterexample.from_dict(found),
        )


def save(record: Record, directory: Path = DIRECTORY) -> str | None:
    """Store a record; return its ID, None if nothing can be written there (the run's result matters more)."""
    content = record.to_dict()
    # Where modules are found differs between one process and several; the failure is the same one.
    identifying = json.dumps({key: content[key] for key in content if key != "path"}, sort_keys=True)
    identity = hashlib.blake2b(identifying.encode(), digest_size=_ID_BYTES).hexdigest()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        temporary = directory / f"{identity}.{os.getpid()}.tmp"
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
        temporary.replace(directory / f"{identity}.json")
    except OSError:
        return None
    return identity


def load(identity: str, directory: Path = DIRECTORY) -> Record:
    """Return the record stored under an ID.

    Raises:
        UsageError: there is none, or it cannot be read.
    """
    if not identity.isalnum():
        msg = f"a replay ID is letters and digits, got {identity!r}"
        raise UsageError(msg)
    file = directory / f"{identity}.json"
    try:
        stored = json.loads(file.read_text())
        return Record.from_dict(stored)
    except FileNotFoundError as error:
        msg = f"no replay record {identity!r} in {directory}; replay from the directory the run was started in"
        raise UsageError(msg) from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        msg = f"the replay record {file} cannot be read: {error}"
        raise UsageError(msg) from error


def replay(record: Record) -> CaseResult | None:
    """Run a recorded case again, in a fresh process; None if it no longer says anything about the selector.

    Raises:
        UsageError: the selector cannot be loaded, or the case no longer exists.
    """
    planned = [item for item in plan(record.config) if (item.check, item.case) == (record.check, record.case)]
    if not planned:
        msg = f"there is no case {record.check}[{record.case}] any more"
        raise UsageError(msg)
    session = Opener(record.address, record.config).open(cores())
    try:
        first = Stored() if record.counterexample is None else Stored((record.counterexample,))
        result, _ = run_case(planned[0], record.config, session, cap=record.cap, stored=first)
    finally:
        session.close()
    return result
