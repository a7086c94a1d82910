"""The pytest plugin: `--selector`, `--spectest-*` and `parametrize_with_checks`.

It is loaded in every pytest run of everybody who has spectest installed: nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pytest

from spectest.errors import SpectestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from spectest.conformance.bench import Benches

_F = TypeVar("_F", bound="Callable[..., Any]")

#: Set on a test function by `parametrize_with_checks`.
ATTRIBUTE: Final = "__spectest_checks__"
_CONFORMANCE: Final = "spectest.conformance"
_NEEDS_SELECTOR: Final = f"`pytest --pyargs {_CONFORMANCE}` needs `--selector pkg.mod:name` (or path/to/file.py:name)"
_DEST: Final = "spectest_"

#: `--spectest-NAME` -> (field of the run or declaration, type, help).
_OPTIONS: Final[dict[str, tuple[str, Callable[[str], Any], str]]] = {
    "tier": ("tier", str, "quick, standard or deep"),
    "vocab": ("vocab", str, "N[,N]: sizes of the main problems"),
    "target": ("target", str, "p.npy: a target of your own, with --spectest-draft"),
    "draft": ("draft", str, "q.npy: its draft law"),
    "alpha": ("alpha", float, "total false-alarm rate, divided over the selectors"),
    "beta": ("beta", float, "miss rate at delta"),
    "delta": ("delta", float, "deviation to find"),
    "seed": ("seed", int, "seed of everything random"),
    "budget": ("budget", float, "seconds the run of one selector may take"),
    "timeout": ("timeout", float, "seconds per call after the first"),
    "checks": ("checks", str, "a,b: only these checks"),
    "waivers": ("waivers", str, "FILE.toml: failures that are known"),
    "kind": ("kind", str, "selector, chain or tree"),
    "drafting": ("drafting", str, "drafting law"),
    "drafts": ("n_drafts", int, "drafts per position"),
    "scheme": ("scheme", str, "scheme whose acceptance is claimed"),
    "array": ("array", str, "torch or numpy"),
    "device": ("device", str, "torch device"),
    "dtype": ("dtype", str, "float64, float32, float16 or bfloat16"),
    "rng": ("rng", str, "generator, global, seed or uniforms"),
    "tolerance": ("tolerance", float, "relative error of a low-precision kernel"),
    "degenerate": ("degenerate", str, "error, fallback or unspecified"),
    "propose": ("propose", str, "pkg.mod:name or path/to/file.py:name of the selector's own drafting"),
}
#: `--spectest-NAME` and `--no-spectest-NAME`.
_SWITCHES: Final[dict[str, str]] = {
    "batched": "rows per call, or one position per call",
    "broadcast": "takes expanded views",
    "lossless": "deviations fail, or are only reported",
}
_BENCHES: Final = pytest.StashKey["Benches"]()


@dataclass(frozen=True)
class Wanted:
    """What a test function is to be run with; `selectors` None stands for those of `--selector`."""

    selectors: tuple[str | Callable[..., Any], ...] | None
    options: Mapping[str, Any]


def parametrize_with_checks(
    selectors: Sequence[str | Callable[..., Any]],
    **options: Any,  # noqa: ANN401 (validated by RunConfig and Declaration)
) -> Callable[[_F], _F]:
    """Run a test once per selector and case of every check; the test calls `check(selector)`.

    The whole test fails with probability at most `alpha` on correct selectors, however many there are, and with any
    number of xdist workers. `--spectest-*` options on the command line override those given here.

    Args:
        selectors: callables, or addresses such as `pkg.mod:name`. A closure or a lambda runs in pytest's own process.
        options: what `spectest.verify` takes by keyword: tier, seed, alpha, vocab, checks, dtype and so on.

    Raises:
        UsageError: `selectors` is empty, or holds something that is neither a callable nor an address.

    Example:
        >>> @parametrize_with_checks(["pkg.mod:my_kernel"], tier="quick")
        ... def test_my_kernel(selector, check):
        ...     check(selector)
    """
    from spectest.errors import UsageError  # noqa: PLC0415 (kept with its only use)

    if isinstance(selectors, str) or callable(selectors) or not list(selectors):
        msg = f"`selectors` must be a list of at least one callable or address, got {selectors!r}"
        raise UsageError(msg)
    for selector in selectors:
        if not isinstance(selector, str) and not callable(selector):
            msg = f"`selectors` must hold callables or addresses, got {selector!r}"
            raise UsageError(msg)

    def decorate(function: _F) -> _F:
        setattr(function, ATTRIBUTE, Wanted(tuple(selectors), options))
        return function

    return decorate


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--selector` and the `--spectest-*` options."""
    group = parser.getgroup("spectest", "spectest: is speculative-sampling code lossless?")
    group.addoption(
        "--selector",
        action="append",
        metavar="ADDRESS",
        help=f"pkg.mod:name or path/to/file.py:name, for `pytest --pyargs {_CONFORMANCE}`; repeatable",
    )
    for name, (field, kind, text) in _OPTIONS.items():
        group.addoption(f"--spectest-{name}", dest=_DEST + field, type=kind, default=None, help=text)
    for name, text in _SWITCHES.items():
        dest = _DEST + name
        group.addoption(f"--spectest-{name}", dest=dest, action="store_true", default=None, help=text)
        group.addoption(f"--spectest-no-{name}", dest=dest, action="store_false", help=argparse.SUPPRESS)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot be run before anything is collected: pytest's own exit code for usage errors, one line."""
    if config.getoption("selector"):
        try:
            _benches(config).config_of({}, _given(config))
        except SpectestError as error:
            raise pytest.UsageError(str(error)) from error
    elif any(map(_names_conformance, config.args)):
        raise pytest.UsageError(_NEEDS_SELECTOR)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item per selector and planned case: from the configuration alone, so that all workers make the same."""
    wanted = getattr(metafunc.function, ATTRIBUTE, None)
    if not isinstance(wanted, Wanted):
        return
    selectors = wanted.selectors
    if selectors is None:
        selectors = tuple(metafunc.config.getoption("selector") or ())
        if not selectors:  # an empty parametrization would be skipped, which looks like success
            raise pytest.Collector.CollectError(_NEEDS_SELECTOR)
    benches = _benches(metafunc.config)
    try:
        config = benches.config_of(wanted.options, _given(metafunc.config), len(selectors))
    except SpectestError as error:
        raise pytest.Collector.CollectError(str(error)) from error
    metafunc.parametrize(("selector", "check"), benches.parameters(selectors, config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the selectors' processes."""
    benches = config.stash.get(_BENCHES, None)
    if benches is not None:
        benches.close()


def _benches(config: pytest.Config) -> Benches:
    from spectest.conformance.bench import Benches  # noqa: PLC0415 (imports scipy)

    if _BENCHES not in config.stash:
        config.stash[_BENCHES] = Benches()
    return config.stash[_BENCHES]


def _given(config: pytest.Config) -> dict[str, Any]:
    fields = [field for field, _, _ in _OPTIONS.values()] + list(_SWITCHES)
    return {field: config.getoption(_DEST + field) for field in fields}


def _names_conformance(argument: str) -> bool:
    where = argument.partition("::")[0]
    folder = Path(__file__).resolve().parent / "conformance"
    return where == _CONFORMANCE or where.startswith(f"{_CONFORMANCE}.") or Path(where).resolve().is_relative_to(folder)
