"""What every defect is made of: the tables it is entered in, and the correct core it spoils.

p, q, x: target, draft, drafted token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    Accept = Callable[[Tensor, Tensor, Tensor], Tensor]
    Residual = Callable[[Tensor, Tensor, Tensor], Tensor]
    Draw = Callable[[Tensor, Tensor], Tensor]

F = TypeVar("F", bound="Callable[..., Any]")

#: name -> kind: law (of a row, whatever its neighbours), support (emits p = 0), rows (law of a row in a batch),
#: dependence (rows of a batch), determinism, state, mutation, acceptance (lossless, yet below the declared scheme),
#: injection (seen only with chosen uniforms), protocol, raise, hang, crash, noise (lossless; writes to stdout).
DEFECTIVE: dict[str, str] = {}
#: name -> the problem or the batch that shows it, where an ordinary one does not, or barely: `wide` (V = 300), `holes`
#: (zeros in both laws), `peaked` (a likely token drafted again and again; p > q at token 0), `staged` (the third round
#: still has a coin to toss), `ties`, `equal`, `one_hot`, `trivial` (V = 1), `mixed` (rows of different problems), ...
NEEDS: dict[str, str] = {}
#: name -> why its total variation is below 0.01 on ordinary problems.
MILD: dict[str, str] = {}
#: name -> `tests.planted.defects.<module>:<name>`, by which another process finds it (with the repository on its path).
ADDRESSES: dict[str, str] = {}


def defect(kind: str, *, needs: str = "", mild: str = "") -> Callable[[F], F]:
    """Enter the decorated selector in the tables above; loading a module again enters the same."""

    def register(function: F) -> F:
        DEFECTIVE[function.__name__] = kind
        ADDRESSES[function.__name__] = f"{function.__module__}:{function.__name__}"
        if needs:
            NEEDS[function.__name__] = needs
        if mild:
            MILD[function.__name__] = mild
        return function

    return register


def toss(ids: Tensor, generator: Generator | None) -> Tensor:
    """Return coins (B, n + 1): one per draft, the last for the final draw."""
    return torch.rand(ids.shape[0], ids.shape[1] + 1, generator=generator, dtype=torch.float64)


def ratio_test(coin: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Accept with probability min(1, p/q), never where p = 0."""
    return coin * q < p


def subtract(left: Tensor, q: Tensor, x: Tensor) -> Tensor:
    """Return (left - q)+, whatever was rejected."""
    return (left - q).clamp_min(0)


def inverse_cdf(law: Tensor, coin: Tensor) -> Tensor:
    """Draw a token a row, none of mass 0 at whatever coin."""
    cdf = law.cumsum(-1)
    total = cdf[:, -1]
    level = torch.minimum(coin * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cdf <= level[:, None]).sum(-1)


def normalised(law: Tensor, otherwise: Tensor) -> Tensor:
    """Divide by the sum; a row without mass becomes that of `otherwise`."""
    total = law.sum(-1, keepdim=True)
    return torch.where(total > 0, law / total.clamp_min(1e-300), otherwise)


def verify(
    p: Tensor,
    q: Tensor,
    ids: Tensor,
    coins: Tensor,
    *,
    accepts: Accept = ratio_test,
    residual: Residual = subtract,
    draw: Draw = inverse_cdf,
) -> Tensor:
    """Recursive rejection with replacement, with parts to exchange."""
    rows, left = torch.arange(ids.shape[0]), p
    token = torch.full_like(ids[:, 0], -1)
    for k in range(ids.shape[1]):
        x = ids[:, k]
        accepted = (token < 0) & accepts(coins[:, k], left[rows, x], q[rows, k, x])
        token = torch.where(accepted, x, token)
        left = normalised(residual(left, q[:, k], x), left)
    return torch.where(token < 0, draw(left, coins[:, -1]), token)


def correct(p: Tensor, q: Tensor, ids: Tensor, generator: Generator | None) -> Tensor:
    """Recursive rejection with nothing exchanged: lossless."""
    return verify(p, q, ids, toss(ids, generator))


def first_draft_in(rows: Tensor, token: Tensor, ids: Tensor) -> Tensor:
    """The token, but the unverified first draft in `rows`."""
    return torch.where(rows, ids[:, 0], token)
