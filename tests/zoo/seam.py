"""Defects between drafting and verifying: drafts of another law than the q handed over, noise used on both sides.

Each selector declares the `propose` that goes with it; both are right, or nearly, but for the other. Two pairs are
correct.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spectest.declaration import selector

from .core import correct, inverse_cdf, toss, verify
from .registry import Escape, bug, control

if TYPE_CHECKING:
    from torch import Generator, Tensor

_HERE = "spectest.zoo.seam:"
#: What a proposer leaves behind for the selector that follows it.
_NOISE: dict[str, Tensor] = {}


def _uniforms(q: Tensor, generator: Generator) -> Tensor:
    """Return a uniform for each draft, (B, n)."""
    return torch.rand(q.shape[:2], generator=generator, dtype=torch.float64, device=q.device)


def _gumbel(q: Tensor, generator: Generator) -> Tensor:
    """Return Gumbel noise for each token of each draft, (B, n, V)."""
    return -torch.empty_like(q).exponential_(generator=generator).log()


def _invert(q: Tensor, uniforms: Tensor) -> Tensor:
    return torch.stack([inverse_cdf(q[:, k], uniforms[:, k]) for k in range(q.shape[1])], dim=1)


# --- correct pairs


def by_inverse_cdf(q: Tensor, generator: Generator) -> Tensor:
    """Draw every draft from its q."""
    return _invert(q, _uniforms(q, generator))


def by_gumbel(q: Tensor, generator: Generator) -> Tensor:
    """Draw every draft from its q as the argmax of log q and noise."""
    return (q.log() + _gumbel(q, generator)).argmax(-1)


@control()
@selector(propose=f"{_HERE}by_inverse_cdf", scheme="recursive_rejection")
def drafts_of_its_own(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Recursive rejection with the drafting that belongs to it, by inverse CDF."""
    return correct(p, q, ids, generator)


@control()
@selector(propose=f"{_HERE}by_gumbel", n_drafts=1, scheme="single_draft")
def gumbel_drafts_of_its_own(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A single draft by Gumbel-max, noise of its own for the residual: what sharing it spoils."""
    return correct(p, q, ids, generator)


# --- drafts of another law


def likeliest(q: Tensor, generator: Generator) -> Tensor:
    """Draft the likeliest token."""
    return q.argmax(-1)


def warmer(q: Tensor, generator: Generator) -> Tensor:
    """Draft at temperature 1.25."""
    return by_inverse_cdf(torch.softmax(q.log() / 1.25, -1), generator)


def of_the_top(q: Tensor, generator: Generator) -> Tensor:
    """Draft from the three likeliest tokens."""
    kept = q.topk(min(3, q.shape[-1]), dim=-1)
    return by_inverse_cdf(torch.zeros_like(q).scatter(-1, kept.indices, kept.values), generator)


def from_bfloat16(q: Tensor, generator: Generator) -> Tensor:
    """Draft from q rounded to eight bits."""
    return by_inverse_cdf(q.bfloat16().to(q.dtype), generator)


def from_the_neighbour(q: Tensor, generator: Generator) -> Tensor:
    """Draft from the q of the row before."""
    return by_inverse_cdf(q.roll(1, 0), generator)


@bug("draft", "B03", "transformers#32867, jaymody#3, llama.cpp#5625, xLLM#2175")
@selector(propose=f"{_HERE}likeliest")
def argmax_drafted(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The draft is the likeliest token, the verifier divides by the softmax q."""
    return correct(p, q, ids, generator)


@bug("draft", "B04", "transformers#47932, transformers#47961")
@selector(propose=f"{_HERE}warmer")
def drafted_at_a_temperature(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts are drawn at the request's temperature, q is that of the raw logits."""
    return correct(p, q, ids, generator)


@bug("draft", "B04", "transformers#47932, transformers#47961")
@selector(propose=f"{_HERE}of_the_top")
def drafted_from_the_top(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts are drawn from the top k, q is that of the raw logits."""
    return correct(p, q, ids, generator)


@bug(
    "draft",
    "B32",
    "DeepSpec#31",
    mild="one rounding of q to 8 bits",
    escape=Escape("a total variation of 6e-4", 3e7, until="deep"),
)
@selector(propose=f"{_HERE}from_bfloat16")
def drafted_in_bfloat16(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts are drawn from q in bfloat16, q is handed over in full precision."""
    return correct(p, q, ids, generator)


@bug("draft", "B31", "vLLM#14645, TRT-LLM#12588", needs="mixed")
@selector(propose=f"{_HERE}from_the_neighbour")
def drafted_from_neighbours_row(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Drafts and q are gathered in different batch orders."""
    return correct(p, q, ids, generator)


# --- noise used twice


def _kept(name: str, ids: Tensor) -> Tensor | None:
    """Return the noise of the last draft of each row, None where these drafts are not from the proposer."""
    noise = _NOISE.pop(name, None)
    return noise[:, -1] if noise is not None and noise.shape[:2] == ids.shape else None


def keeping_gumbel(q: Tensor, generator: Generator) -> Tensor:
    """Draft by Gumbel-max, and keep the noise."""
    _NOISE["gumbel"] = _gumbel(q, generator)
    return (q.log() + _NOISE["gumbel"]).argmax(-1)


def keeping_uniforms(q: Tensor, generator: Generator) -> Tensor:
    """Draft by inverse CDF, and keep the uniforms."""
    _NOISE["uniforms"] = _uniforms(q, generator)
    return _invert(q, _NOISE["uniforms"])


def one_uniform_a_row(q: Tensor, generator: Generator) -> Tensor:
    """Draft all of a row's by one uniform."""
    return _invert(q, _uniforms(q[:, :1], generator).expand(q.shape[:2]))


def one_row_for_all(q: Tensor, generator: Generator) -> Tensor:
    """Draft all rows by the uniforms of one."""
    return _invert(q, _uniforms(q[:1], generator).expand(q.shape[:2]))


def unseeded(q: Tensor, generator: Generator) -> Tensor:
    """Draft by a generator of its own."""
    own = torch.Generator(q.device)
    own.seed()
    return by_inverse_cdf(q, own)


@bug("draft", "B15", "vLLM#47386, vLLM#54282, vllm-ascend#15739")
@selector(propose=f"{_HERE}keeping_gumbel", n_drafts=1)
def gumbel_noise_shared(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual is drawn with the noise that lost against the draft's."""
    noise = _kept("gumbel", ids)
    if noise is None:
        return correct(p, q, ids, generator)
    return verify(p, q, ids, toss(ids, generator), draw=lambda left, coin: (left.log() + noise).argmax(-1))


@bug("draft", "B15", "vLLM#47386", needs="peaked")
@selector(propose=f"{_HERE}keeping_uniforms", n_drafts=1)
def draft_uniform_draws_residual(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The residual is drawn by the uniform that the draft was drawn by."""
    uniform = _kept("uniforms", ids)
    coins = toss(ids, generator)
    coins[:, -1] = coins[:, -1] if uniform is None else uniform
    return verify(p, q, ids, coins)


@bug("draft", "B01", "vllm-ascend#16370")
@selector(propose=f"{_HERE}keeping_uniforms", n_drafts=1)
def draft_uniform_is_the_coin(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A draft is tested by the uniform that it was drawn by."""
    uniform = _kept("uniforms", ids)
    coins = toss(ids, generator)
    coins[:, 0] = coins[:, 0] if uniform is None else uniform
    return verify(p, q, ids, coins)


@bug("draft", "B22", "FastDeploy#5568")
@selector(propose=f"{_HERE}one_uniform_a_row")
def drafts_of_a_row_share_a_seed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """All drafts of a row are the same token, and are verified as independent ones."""
    return correct(p, q, ids, generator)


@bug("draft", "B23", "TRT-LLM#19487, FastDeploy#7180", needs="equal_drafts")
@selector(propose=f"{_HERE}one_row_for_all")
def rows_draft_alike(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """All rows draft from one stream."""
    return correct(p, q, ids, generator)


@bug("draft", citation="sglang#33395", needs="same_seed")
@selector(propose=f"{_HERE}unseeded")
def drafts_unseeded(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The request's seed does not reach the drafting."""
    return correct(p, q, ids, generator)
