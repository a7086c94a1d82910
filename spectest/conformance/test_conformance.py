"""One test per selector and planned case; the plugin takes the selectors from `--selector`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectest.pytest_plugin import ATTRIBUTE, Wanted

if TYPE_CHECKING:
    from spectest.conformance.bench import CheckCase


def test_conformance(selector: str, check: CheckCase) -> None:
    """The selector passes this case."""
    check(selector)


setattr(test_conformance, ATTRIBUTE, Wanted(selectors=None, options={}))
