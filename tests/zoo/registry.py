"""The two tables of the zoo, and the decorators that enter a selector in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Law = NDArray[np.float64]

Kind = Literal["law", "rows", "calls", "protocol", "faults", "acceptance", "seam", "precision"]
#: What is wrong: the `law` of a row, whatever its neighbours; the `support`; the law of a row in a batch (`rows`); the
#: `dependence` of rows; `determinism`; `state` kept between calls; `mutation` of the inputs; the form of the `answer`;
#: no answer (`raise`, `hang`, `crash`); the `acceptance` alone; what shows under chosen `uniforms` alone; the `draft`.
Effect = Literal[
    "law",
    "support",
    "rows",
    "dependence",
    "determinism",
    "state",
    "mutation",
    "answer",
    "raise",
    "hang",
    "crash",
    "acceptance",
    "uniforms",
    "draft",
]
#: Law of the emitted token with one draft: (target (V,), draft (V,)) -> (V,).
OutputLaw = Callable[["Law", "Law"], "Law"]
F = TypeVar("F", bound=Callable[..., Any])

OWN: Final = "–"
TIERS: Final = ("quick", "standard", "deep")
_KINDS: Final[dict[Effect, Kind]] = {
    "law": "law",
    "support": "law",
    "rows": "rows",
    "dependence": "rows",
    "determinism": "calls",
    "state": "calls",
    "mutation": "calls",
    "answer": "protocol",
    "raise": "faults",
    "hang": "faults",
    "crash": "faults",
    "acceptance": "acceptance",
    "uniforms": "precision",
    "draft": "seam",
}


@dataclass(frozen=True)
class Escape:
    """Why a defect is not caught by default, and about how many samples would catch it.

    `until` is the first tier that is expected to see it, None where none is.
    """

    why: str
    samples: float
    until: str | None = None


@dataclass(frozen=True)
class Control:
    """A correct selector.

    `reported` names the threads in which its like is taken for a bug. `slow`: one position a call.
    """

    name: str
    address: str
    summary: str
    reported: str = ""
    slow: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bug:
    """A defective selector.

    Args:
        name: of the function.
        address: by which another process finds it.
        summary: what is wrong, in one line.
        family: of the survey of published bugs (B01, ...), or a dash for one of our own.
        citation: where it was met.
        kind: what part of the suite it is for.
        effect: what is wrong with its answers.
        needs: the problem or the batch that shows it, where an ordinary one does not, or barely.
        mild: why its total variation is below 0.01 on ordinary problems.
        options: how to verify it: keywords of `spectest.verify`, such as the vocabulary it needs.
        escape: where it is known not to be caught.
        output_law: of one draft, where it is known in closed form.
    """

    name: str
    address: str
    summary: str
    family: str
    citation: str
    kind: Kind
    effect: Effect
    needs: str = ""
    mild: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    escape: Escape | None = None
    output_law: OutputLaw | None = None

    def escapes(self, tier: str) -> bool:
        """Return whether it is known to escape at a tier."""
        if self.escape is None:
            return False
        return self.escape.until is None or TIERS.index(tier) < TIERS.index(self.escape.until)


BUGS: Final[dict[str, Bug]] = {}
CONTROLS: Final[dict[str, Control]] = {}


def bug(
    effect: Effect,
    family: str = OWN,
    citation: str = OWN,
    *,
    kind: Kind | None = None,
    needs: str = "",
    mild: str = "",
    options: Mapping[str, Any] | None = None,
    escape: Escape | None = None,
    output_law: OutputLaw | None = None,
) -> Callable[[F], F]:
    """Enter the decorated selector as defective; see `Bug`. Loading its module again enters the same."""

    def register(function: F) -> F:
        name, address, summary = _described(function)
        BUGS[name] = Bug(
            name,
            address,
            summary,
            family,
            citation,
            kind or _KINDS[effect],
            effect,
            needs,
            mild,
            options or {},
            escape,
            output_law,
        )
        return function

    return register


def control(*, reported: str = "", slow: bool = False, options: Mapping[str, Any] | None = None) -> Callable[[F], F]:
    """Enter the decorated selector as correct; see `Control`."""

    def register(function: F) -> F:
        name, address, summary = _described(function)
        CONTROLS[name] = Control(name, address, summary, reported, slow, options or {})
        return function

    return register


def _described(function: Callable[..., Any]) -> tuple[str, str, str]:
    """Return name, address and the first paragraph of the documentation in one line."""
    name = function.__name__
    paragraph = (function.__doc__ or "").strip().partition("\n\n")[0]
    return name, f"{function.__module__}:{name}", " ".join(paragraph.split())
