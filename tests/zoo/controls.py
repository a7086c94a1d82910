"""Correct selectors, written the way third parties write theirs: every one of them is lossless.

p, q, x, u: target, draft, drafted token, uniform.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spectest.declaration import selector

from .registry import control

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    Array = NDArray[Any]


def _coins(like: Tensor, generator: Generator | None) -> Tensor:
    """Return a uniform for every element of `like`, on its device."""
    return torch.rand(like.shape, generator=generator, dtype=torch.float64, device=like.device)


def _normalised(law: Tensor, otherwise: Tensor) -> Tensor:
    """Divide by the sum; where rounding left nothing, no row gets here with positive probability."""
    total = law.sum(-1, keepdim=True)
    return torch.where(total > 0, law / total.clamp_min(torch.finfo(law.dtype).tiny), otherwise)


def _reject_recursively(p: Tensor, q: Tensor, ids: Tensor, coins: Tensor) -> tuple[Tensor, Tensor]:
    """Return (token or -1, what is left of the target) after testing each draft once."""
    rows = torch.arange(ids.shape[0], device=ids.device)
    token = torch.full_like(ids[:, 0], -1)
    left = p
    for k in range(ids.shape[1]):
        x = ids[:, k]
        accepted = (token < 0) & (coins[:, k] * q[rows, k, x] < left[rows, x])
        token = torch.where(accepted, x, token)
        left = _normalised((left - q[:, k]).clamp_min(0), left)
    return token, left


def _invert(law: Tensor, u: Tensor) -> Tensor:
    """Inverse CDF; a token of mass 0 is never returned, not even at u = 0 or u rounded to 1."""
    cdf = law.cumsum(-1)
    total = cdf[:, -1]
    level = torch.minimum(u * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cdf <= level[:, None]).sum(-1)


@control()
@selector(scheme="recursive_rejection")
def rrs_dense(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Recursive rejection with replacement (SpecInfer, arXiv 2305.09781, algorithm 2)."""
    coins = torch.rand(draft_token_ids.shape, generator=generator, dtype=target_probs.dtype, device=target_probs.device)
    token, left = _reject_recursively(target_probs, draft_probs, draft_token_ids, coins)
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


@control()
@selector(dtype="float32", scheme="recursive_rejection")
def rrs_float32(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """The same in single precision throughout, float32 uniforms included."""
    assert target_probs.dtype is torch.float32
    return rrs_dense(target_probs, draft_probs, draft_token_ids, generator)


@control()
@selector(dtype="bfloat16", scheme="recursive_rejection")
def rrs_bfloat16(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Handed bfloat16, of which no law sums to 1: renormalised in double precision before anything is compared."""
    p, q = target_probs.double(), draft_probs.double()
    return rrs_dense(_normalised(p, p), _normalised(q, q), draft_token_ids, generator)


@control()
@selector(dtype="float16", scheme="recursive_rejection", tolerance=0.01)
def rrs_float16(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Handed float16 and taken as it is: off by what the sums are short of 1, which it declares."""
    return rrs_dense(target_probs.float(), draft_probs.float(), draft_token_ids, generator)


@control()
@selector(drafting="independent", scheme="recursive_rejection")
def rrs_independent(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Recursive rejection against n different drafters, in order."""
    return rrs_dense(target_probs, draft_probs, draft_token_ids, generator)


@control()
@selector(scheme="recursive_rejection", broadcast=True)
def rrs_shuffled(
    target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator, *, verbose: bool = False
) -> Tensor:
    """SpecInfer's random order of drafts, on expanded views; i.i.d. drafts may be tried in any blind order."""
    del verbose
    noise = torch.rand(draft_token_ids.shape, generator=generator, device=draft_token_ids.device)
    ids = draft_token_ids.gather(1, noise.argsort(1))
    coins = _coins(draft_token_ids, generator)
    token, left = _reject_recursively(target_probs, draft_probs, ids, coins)
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


@control(reported="vllm-ascend#13608")
@selector(scheme="recursive_rejection")
def rrs_compacted(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Noise of the final draw only for the rows that need it: how much is consumed depends on the neighbours."""
    coins = _coins(draft_token_ids, generator)
    token, left = _reject_recursively(target_probs, draft_probs, draft_token_ids, coins)
    rejected = (token < 0).nonzero()[:, 0]
    if len(rejected):
        token[rejected] = torch.multinomial(left[rejected], 1, generator=generator)[:, 0]
    return token


@control()
@selector(drafting="without_replacement", scheme="recursive_rejection")
def rrs_without_replacement(
    target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator
) -> Tensor:
    """Sequoia / RSD (arXiv 2402.12374, 2402.14160): the draft law loses each tried token and is renormalised."""
    rows = torch.arange(draft_token_ids.shape[0], device=draft_token_ids.device)
    left, draft = target_probs, draft_probs[:, 0]
    token = torch.full_like(draft_token_ids[:, 0], -1)
    for x in draft_token_ids.unbind(1):
        u = _coins(x, generator)
        token = torch.where((token < 0) & (u * draft[rows, x] < left[rows, x]), x, token)
        left = _normalised((left - draft).clamp_min(0), left)
        draft = draft.scatter(1, x[:, None], 0.0)
        draft = _normalised(draft, draft)
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


@control()
def deduplicated(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """I.i.d. drafts with repeats skipped, verified by the rule without replacement: lossless, and no common scheme."""
    rows = torch.arange(draft_token_ids.shape[0], device=draft_token_ids.device)
    left, draft = target_probs, draft_probs[:, 0]
    token = torch.full_like(draft_token_ids[:, 0], -1)
    for x in draft_token_ids.unbind(1):
        new = draft[rows, x] > 0
        u = _coins(x, generator)
        token = torch.where((token < 0) & new & (u * draft[rows, x] < left[rows, x]), x, token)
        left = torch.where(new[:, None], _normalised((left - draft).clamp_min(0), left), left)
        draft = draft.scatter(1, x[:, None], 0.0)
        draft = _normalised(draft, draft)
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


@control(reported="mlx-swift-lm#459, mlxcel#902, z-lab/dflash#74, pegainfer#512")
@selector(scheme="target_only")
def target_only_gumbel(
    target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator
) -> Tensor:
    """Exact match ("sampled verify"): the target's own sample by Gumbel-max, whatever was drafted."""
    del draft_probs, draft_token_ids
    u = _coins(target_probs, generator)
    return (target_probs.log() - (-u.log()).log()).argmax(-1)


@control()
@selector(scheme="k_seq")
def k_seq(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """K-SEQ (SpecTr, arXiv 2310.15141, algorithm 2), its rho by bisection.

    The upper end is kept: K-SEQ is lossless for every rho from the root of 1 - (1 - beta)^n = rho beta upwards.
    """
    p, q = target_probs, draft_probs[:, 0]
    n = draft_token_ids.shape[1]
    low, high = torch.ones_like(p[:, :1]), torch.full_like(p[:, :1], n)
    for _ in range(30):
        rho = (low + high) / 2
        beta = torch.minimum(p / rho, q).sum(-1, keepdim=True)
        too_small = 1 - (1 - beta) ** n > rho * beta
        low, high = torch.where(too_small, rho, low), torch.where(too_small, high, rho)
    overlap = torch.minimum(p / high, q)
    beta = overlap.sum(-1, keepdim=True).clamp(0, 1)
    per_round = torch.where(beta > 0, (1 - (1 - beta) ** n) / beta.clamp_min(1e-300), n)
    left = _normalised((p - overlap * per_round).clamp_min(0), p)
    coins = _coins(draft_token_ids, generator)
    accepted = coins * high * q.gather(1, draft_token_ids) < p.gather(1, draft_token_ids)
    first = draft_token_ids.gather(1, accepted.to(torch.int8).argmax(1, keepdim=True))[:, 0]
    return torch.where(accepted.any(1), first, torch.multinomial(left, 1, generator=generator)[:, 0])


@control()
@selector(scheme="naive")
def naive(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Single-draft speculative sampling of the first draft (Leviathan et al., arXiv 2211.17192)."""
    coins = _coins(draft_token_ids[:, :1], generator)
    token, left = _reject_recursively(target_probs, draft_probs[:, :1], draft_token_ids[:, :1], coins)
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


class _ExponentialRace:
    """A selector that is an object; its final draw is an exponential race."""

    __name__ = "exponential_race"

    def __call__(self, p: Tensor, q: Tensor, ids: Tensor, rng: Generator) -> Tensor:
        coins = _coins(ids, rng)
        token, left = _reject_recursively(p, q, ids, coins)
        clocks = torch.empty_like(left).exponential_(generator=rng)
        return torch.where(token < 0, (left / clocks).argmax(-1), token)


exponential_race = control()(_ExponentialRace())


@control()
@selector(array="numpy", scheme="recursive_rejection")
def rrs_numpy(target_probs: Array, draft_probs: Array, draft_token_ids: Array, generator: np.random.Generator) -> Array:
    """Recursive rejection in numpy, batched."""
    size, n = draft_token_ids.shape
    rows = np.arange(size)
    token, left = np.full(size, -1), np.array(target_probs)
    for k in range(n):
        x, q = draft_token_ids[:, k], draft_probs[:, k]
        accepted = (token < 0) & (generator.random(size) * q[rows, x] < left[rows, x])
        token[accepted] = x[accepted]
        difference = np.maximum(left - q, 0)
        total = difference.sum(1, keepdims=True)
        left = np.divide(difference, total, out=left, where=total > 0)
    cdf = left.cumsum(1)
    level = np.minimum(generator.random(size) * cdf[:, -1], np.nextafter(cdf[:, -1], 0))
    return np.where(token < 0, (cdf <= level[:, None]).sum(1), token)


@control(slow=True)
@selector(array="numpy", batched=False, n_drafts=1, scheme="single_draft")
def leviathan_numpy(
    target_probs: Array, draft_probs: Array, draft_token_ids: Array, generator: np.random.Generator
) -> int:
    """Speculative sampling of one draft, one position a call."""
    x = int(draft_token_ids[0])
    if generator.random() * draft_probs[0, x] < target_probs[x]:
        return x
    residual = np.maximum(target_probs - draft_probs[0], 0)
    return int(generator.choice(len(residual), p=residual / residual.sum()))


@control(slow=True)
@selector(batched=False, scheme="recursive_rejection")
def rrs_unbatched(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """One position a call; an accepted token is a 0-d view of the drafts."""
    left = target_probs
    for x, q in zip(draft_token_ids, draft_probs, strict=True):
        if _coins(x, generator) * q[x] < left[x]:
            token: Tensor = x
            return token
        left = (left - q).clamp_min(0)
        left = left / left.sum()
    return torch.multinomial(left, 1, generator=generator)[0]


@control()
@selector(rng="global", scheme="recursive_rejection")
def rrs_global(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor) -> Tensor:
    """Torch's global generator, as in transformers."""
    coins = _coins(draft_token_ids, None)
    token, left = _reject_recursively(target_probs, draft_probs, draft_token_ids, coins)
    return torch.where(token < 0, torch.multinomial(left, 1)[:, 0], token)


@control()
@selector(rng="seed", scheme="recursive_rejection")
def rrs_seed(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, seed: int) -> Tensor:
    """A generator of its own from an integer seed, as in counter-based kernels."""
    return rrs_dense(target_probs, draft_probs, draft_token_ids, torch.Generator(target_probs.device).manual_seed(seed))


@control()
@selector(rng="uniforms", scheme="recursive_rejection")
def rrs_uniforms(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, uniforms: Tensor) -> Tensor:
    """The caller's uniforms, as in SGLang: one per draft, the last for the final draw."""
    token, left = _reject_recursively(target_probs, draft_probs, draft_token_ids, uniforms)
    return torch.where(token < 0, _invert(left, uniforms[:, -1]), token)


@control()
@selector(scheme="recursive_rejection")
def strided_output(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """Writes its answer into every third slot of a fresh buffer: the output is not contiguous."""
    slots = torch.full((draft_token_ids.shape[0], 3), -7, device=draft_token_ids.device)
    slots[:, 1] = rrs_dense(target_probs, draft_probs, draft_token_ids, generator)
    return slots[:, 1]


@control(slow=True)
@selector(scheme="recursive_rejection")
def slow(target_probs: Tensor, draft_probs: Tensor, draft_token_ids: Tensor, generator: Generator) -> Tensor:
    """200 microseconds later than it could be."""
    time.sleep(200e-6)
    return rrs_dense(target_probs, draft_probs, draft_token_ids, generator)
