"""What a selector declares about itself, and the decorator that declares it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

from spectest.errors import UsageError
from spectest.problem import DRAFTING, drafting_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["selector", "chain", "tree"]
Array = Literal["torch", "numpy"]
Dtype = Literal["float64", "float32", "float16", "bfloat16"]
Rng = Literal["generator", "global", "seed", "uniforms"]
Degenerate = Literal["unspecified", "error", "fallback"]

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "kind": get_args(Kind),
    "drafting": tuple(DRAFTING),
    "array": get_args(Array),
    "dtype": get_args(Dtype),
    "rng": get_args(Rng),
    "degenerate": get_args(Degenerate),
}
_FLAGS: Final = ("batched", "broadcast", "lossless")
ATTRIBUTE: Final = "__spectest_declaration__"


@dataclass(frozen=True)
class Declaration:
    """Everything spectest must know to call a selector and to judge it.

    Args:
        kind: selector (one position), chain or tree.
        drafting: the drafting law its drafts follow.
        n_drafts: how many drafts it sees per position; decided by a law that fixes their number (`hub`: 2).
        array: torch or numpy arrays.
        device: a torch device such as cpu or cuda.
        dtype: the precision the probabilities are handed over in.
        batched: (B, V) rows in one call, or one row a call, returning an int.
        broadcast: whether expanded views (stride 0) are accepted.
        rng: where its randomness comes from: `generator`, `global` (three arguments, every
            global generator seeded), `seed` (an int as the fourth) or `uniforms`
            (float64 (B, n + 1) as the fourth, the last column for the final draw).
        lossless: False if deviations are by design: they are reported, not failed.
        tolerance: relative error allowed to a low-precision kernel.
        scheme: a reference scheme whose acceptance it claims.
        degenerate: its policy on NaN or zero-sum rows.
        propose: the implementation's own drafting, an address or a callable, verified by itself and together with the
            selector: `propose(draft_probs: (B, n, V), generator) -> draft_token_ids (B, n) int64`. Every convention
            above holds for it too; it is called first, with the same generator (`seed`: the same int; `uniforms`:
            float64 (B, n) of its own).

    Raises:
        UsageError: a value is not one of the choices; the message lists them.
    """

    kind: Kind = "selector"
    drafting: str = "with_replacement"
    n_drafts: int = 3
    array: Array = "torch"
    device: str = "cpu"
    dtype: Dtype = "float64"
    batched: bool = True
    broadcast: bool = False
    rng: Rng = "generator"
    lossless: bool = True
    tolerance: float = 0.0
    scheme: str | None = None
    degenerate: Degenerate = "unspecified"
    propose: str | Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        """Validate every field and the combinations."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                msg = f"`{name}` must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                raise UsageError(msg)
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                msg = f"`{name}` must be True or False, got {getattr(self, name)!r}"
                raise UsageError(msg)
        self._check_values()
        self._check_combinations()

    def _check_values(self) -> None:
        if isinstance(self.n_drafts, bool) or not isinstance(self.n_drafts, int) or self.n_drafts < 1:
            msg = f"`n_drafts` must be an integer of at least 1, got {self.n_drafts!r}"
            raise UsageError(msg)
        if not isinstance(self.tolerance, (int, float)) or not 0 <= self.tolerance < 1:
            msg = f"`tolerance` must be a relative error in [0, 1), got {self.tolerance!r}"
            raise UsageError(msg)
        if not isinstance(self.device, str) or not self.device:
            msg = f"`device` must name a torch device such as 'cpu' or 'cuda', got {self.device!r}"
            raise UsageError(msg)
        if self.scheme is not None and not isinstance(self.scheme, str):
            msg = f"`scheme` must be a scheme's name or None, got {self.scheme!r}"
            raise UsageError(msg)
        if not (self.propose is None or callable(self.propose) or (isinstance(self.propose, str) and self.propose)):
            msg = f"`propose` must be an address such as `pkg.mod:name`, a callable or None, got {self.propose!r}"
            raise UsageError(msg)

    def _check_combinations(self) -> None:
        if self.array == "numpy" and self.device != "cpu":
            msg = f"`device` must be cpu for numpy selectors, got {self.device!r}"
            raise UsageError(msg)
        if self.array == "numpy" and self.dtype == "bfloat16":
            msg = "`dtype` bfloat16 needs `array` torch: numpy has no such type"
            raise UsageError(msg)
        fixed = drafting_rule(self.drafting).fixed_drafts
        if fixed is not None and self.n_drafts != fixed:
            msg = f"`n_drafts` must be {fixed} for `drafting` {self.drafting}, got {self.n_drafts}"
            raise UsageError(msg)

    def override(self, changes: Mapping[str, Any]) -> Declaration:
        """Return a copy with every non-None item of `changes` in place of the declared one.

        A drafting law that fixes the number of drafts brings that number along, unless `changes` names one.

        Raises:
            UsageError: an unknown field or a bad value.
        """
        unknown = sorted(set(changes) - {f.name for f in fields(self)})
        if unknown:
            known = ", ".join(f.name for f in fields(self))
            msg = f"unknown declaration {', '.join(unknown)}; known are {known}"
            raise UsageError(msg)
        given = {key: value for key, value in changes.items() if value is not None}
        rule = DRAFTING.get(given["drafting"]) if isinstance(given.get("drafting"), str) else None
        if rule is not None and rule.fixed_drafts is not None:
            given.setdefault("n_drafts", rule.fixed_drafts)
        return replace(self, **given)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON-ready dict; a callable is named."""
        return asdict(replace(self, propose=name_of(self.propose) if callable(self.propose) else self.propose))


def name_of(function: Callable[..., Any]) -> str:
    """Return `module:qualname` of a callable, for a reader: it may not be an address.

    Example:
        >>> name_of(selector)
        'spectest.declaration:selector'
    """
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}:{getattr(function, '__qualname__', type(function).__name__)}"


_F = TypeVar("_F", bound="Callable[..., Any]")


def selector(**declared: Any) -> Callable[[_F], _F]:  # noqa: ANN401 (validated by Declaration)
    """Declare how spectest must call the decorated selector; the function itself is unchanged.

    Args:
        declared: any field of `Declaration`.

    Raises:
        UsageError: an unknown field or a bad value, at decoration time.

    Example:
        >>> @selector(array="numpy", n_drafts=2)
        ... def my_kernel(target_probs, draft_probs, draft_token_ids, generator):
        ...     return draft_token_ids[:, 0]
        >>> declared_by(my_kernel).n_drafts
        2
    """
    declaration = Declaration().override(declared)

    def decorate(function: _F) -> _F:
        setattr(function, ATTRIBUTE, declaration)
        return function

    return decorate


def declared_by(function: object) -> Declaration:
    """Return what `function` declares, the defaults if it declares nothing."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, Declaration) else Declaration()
