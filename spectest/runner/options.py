"""Options as text: what the command line and pytest hand over, made into a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectest.errors import UsageError
from spectest.problem import Problem
from spectest.runner.config import RunConfig, configure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def from_text(given: Mapping[str, Any]) -> RunConfig:
    """Return the configuration that options ask for; None stands for one that was not given.

    Args:
        given: `vocab` as "N[,N]", `checks` as "a,b", `target` and `draft` as paths of .npy files; anything else as
            `configure` takes it.

    Raises:
        UsageError: a value that cannot be read, or out of its range.
        InvalidProblem: `target` and `draft` are no problem.

    Example:
        >>> from_text({"vocab": "2,17", "checks": "law, edge", "seed": None}).checks
        ('law', 'edge')
    """
    options = dict(given)
    target, draft = options.pop("target", None), options.pop("draft", None)
    if (target is None) != (draft is None):
        missing, present = ("draft", "target") if draft is None else ("target", "draft")
        msg = f"`--{present}` needs `--{missing}` as well: a problem is a target and a draft law"
        raise UsageError(msg)
    if options.get("vocab") is not None:
        options["vocab"] = _sizes(options["vocab"])
    if options.get("checks") is not None:
        options["checks"] = [name.strip() for name in options["checks"].split(",")]
    if target is not None:
        problem = own_problem(Path(target), Path(draft))
        options["problem"] = problem
        if problem.draft.ndim > 1 and options.get("n_drafts") is None:
            options["n_drafts"] = problem.n_drafts  # one row per drafter says how many there are
    return configure(**options)


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"`vocab` must be sizes separated by commas, such as 17,64; got {text!r}"
        raise UsageError(msg) from error


def own_problem(target: Path, draft: Path) -> Problem:
    """Return the problem of two .npy files; its number of drafts and their law are for others to say.

    Args:
        target: holds p, (V,).
        draft: holds q, (V,), or (n, V) for independent drafters.

    Raises:
        UsageError: a file cannot be read.
        InvalidProblem: they hold no laws over the same tokens.
    """
    p, q = read_law(target, "target"), read_law(draft, "draft")
    if q.ndim > 1:
        return Problem(p, q, q.shape[0], "independent")
    return Problem(p, q)


def read_law(path: Path, name: str) -> NDArray[Any]:
    """Return the array in a .npy file; nothing in the file is ever executed.

    Raises:
        UsageError: there is no such file, or it holds no plain array.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = "it holds no plain array" if "pickle" in str(error) else error  # numpy's own words advise to trust it
        msg = f"`--{name}` {path} cannot be read as a .npy file: {why}; write one with numpy.save"
        raise UsageError(msg) from error
    if not isinstance(found, np.ndarray):
        msg = f"`--{name}` {path} holds several arrays (.npz); save the one with numpy.save"
        raise UsageError(msg)
    return found
