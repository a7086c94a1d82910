"""spectest: is speculative-sampling code lossless, and how far is its acceptance from the best possible?

Everything is imported on first use (PEP 562), so that `import spectest` costs no torch and no scipy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spectest import schemes as schemes
    from spectest import strategies as strategies
    from spectest.declaration import selector as selector
    from spectest.errors import InvalidProblem as InvalidProblem
    from spectest.errors import ProblemTooLarge as ProblemTooLarge
    from spectest.errors import SpectestError as SpectestError
    from spectest.errors import UsageError as UsageError
    from spectest.optimum import Optimum as Optimum
    from spectest.optimum import optimal_acceptance as optimal_acceptance
    from spectest.problem import Problem as Problem
    from spectest.pytest_plugin import parametrize_with_checks as parametrize_with_checks
    from spectest.runner import assert_lossless as assert_lossless
    from spectest.runner import hunt as hunt
    from spectest.runner import verify as verify
    from spectest.runner.report import Report as Report

__version__ = "0.1.0"

_HOME = {
    "InvalidProblem": "spectest.errors",
    "Optimum": "spectest.optimum",
    "Problem": "spectest.problem",
    "ProblemTooLarge": "spectest.errors",
    "Report": "spectest.runner.report",
    "SpectestError": "spectest.errors",
    "UsageError": "spectest.errors",
    "assert_lossless": "spectest.runner",
    "hunt": "spectest.runner",
    "optimal_acceptance": "spectest.optimum",
    "parametrize_with_checks": "spectest.pytest_plugin",
    "selector": "spectest.declaration",
    "verify": "spectest.runner",
}
_MODULES = ("schemes", "strategies")

__all__ = [*sorted(_HOME), *_MODULES]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"spectest.{name}")
    msg = f"module 'spectest' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
