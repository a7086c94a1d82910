"""Pairs of a proposer and a selector: correct ones, and ones wrong where the two meet, each with the family it is from.

The file stands alone (torch, numpy and the decorator), so that it can be loaded by path in another process. q: the
drafters' laws (B, n, V); the selector is recursive rejection unless the defect lies in it, or target-only sampling
where the drafts cannot matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spectest import selector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Generator, Tensor

    Array = NDArray[Any]
    Select = Callable[[Tensor, Tensor, Tensor, Generator], Tensor]


# --- the parts of correct pairs ----------------------------------------------------------------------------------


def invert(law: Tensor, u: Tensor) -> Tensor:
    """Inverse CDF over the last axis; a token of mass 0 is never returned."""
    cdf = law.cumsum(-1)
    total = cdf[..., -1]
    level = torch.minimum(u * total, torch.nextafter(total, torch.zeros_like(total)))
    return (cdf <= level[..., None]).sum(-1)


def gumbel(law: Tensor, generator: Generator | None) -> Tensor:
    """Gumbel noise in the shape of a law."""
    return -torch.empty_like(law).exponential_(generator=generator).log()


def by_inverse_cdf(q: Tensor, generator: Generator) -> Tensor:
    return invert(q, torch.rand(q.shape[:2], generator=generator, dtype=q.dtype))


def by_gumbel_argmax(q: Tensor, generator: Generator) -> Tensor:
    return (q.log() + gumbel(q, generator)).argmax(-1)


def by_gumbel_top_n(q: Tensor, generator: Generator) -> Tensor:
    """Distinct drafts in drawn order (Kool et al., 2019)."""
    return (q[:, 0].log() + gumbel(q[:, 0], generator)).topk(q.shape[1], dim=-1).indices


def by_top_and_one(q: Tensor, generator: Generator) -> Tensor:
    """The likeliest n - 1, then one of the rest."""
    top = q[:, 0].sort(dim=-1, descending=True, stable=True).indices[:, : q.shape[1] - 1]
    rest = q[:, 0].scatter(1, top, 0.0)
    return torch.cat([top, torch.multinomial(rest, 1, generator=generator)], dim=1)


def by_hub(q: Tensor, generator: Generator) -> Tensor:
    """SpecHub's pairs: greedy drafts, the hub first with probability q(hub)."""
    drafts = by_top_and_one(q, generator)
    if q.shape[1] == 1:
        return drafts
    coin = torch.rand(len(q), generator=generator, dtype=q.dtype)
    hub_first = coin < q[:, 0].amax(-1)
    return torch.where(hub_first[:, None], drafts, drafts.flip(1))


def _left(left: Tensor, taken: Tensor) -> Tensor:
    rest = (left - taken).clamp_min(0)
    total = rest.sum(-1, keepdim=True)
    return torch.where(total > 0, rest / total.clamp_min(1e-300), left)


def recursive_rejection(p: Tensor, q: Tensor, ids: Tensor, coins: Tensor, *, distinct: bool = False) -> Any:
    """Return (token or -1, what is left of the target)."""
    rows, token, left = torch.arange(len(p)), torch.full_like(ids[:, 0], -1), p
    for k in range(ids.shape[1]):
        law = q[:, k]
        if distinct:
            law = law.scatter(1, ids[:, :k], 0.0)
            law = law / law.sum(-1, keepdim=True)
        x = ids[:, k]
        token = torch.where((token < 0) & (coins[:, k] * law[rows, x] < left[rows, x]), x, token)
        left = _left(left, law)
    return token, left


def _coins(ids: Tensor, p: Tensor, generator: Generator | None) -> Tensor:
    return torch.rand(ids.shape, generator=generator, dtype=p.dtype)


def rrs(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    token, left = recursive_rejection(p, q, ids, _coins(ids, p, generator))
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


def rrs_distinct(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    token, left = recursive_rejection(p, q, ids, _coins(ids, p, generator), distinct=True)
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


def target_only(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    return torch.multinomial(p, 1, generator=generator)[:, 0]


def _pair(propose: Any, select: Any, **declared: Any) -> Any:
    """Return a selector of its own for one pair."""

    @selector(propose=propose, **declared)
    def paired(*arguments: Any) -> Any:
        return select(*arguments)

    return paired


# --- correct pairs -----------------------------------------------------------------------------------------------


def _numpy_proposer(q: Array, rng: np.random.Generator) -> Array:
    cdf = q.cumsum(-1)
    u = rng.random(q.shape[:2]) * cdf[..., -1]
    return (cdf <= u[..., None]).sum(-1).astype(np.int64)


def _numpy_target(p: Array, q: Array, ids: Array, rng: np.random.Generator) -> Array:
    return _numpy_proposer(p[:, None], rng)[:, 0]


def _one_position(q: Array, rng: np.random.Generator) -> list[int]:
    return [int(rng.choice(len(row), p=row)) for row in q]


def _one_verified(p: Array, q: Array, ids: Array, rng: np.random.Generator) -> int:
    for x in ids:
        if rng.random() * q[0, x] < p[x]:
            return int(x)
        p = np.maximum(p - q[0], 0)
        p = p / p.sum()
    return int(rng.choice(len(p), p=p))


def _seeded(seed: int, salt: int) -> Generator:
    return torch.Generator().manual_seed(2 * seed + salt)


def _with_uniforms(p: Tensor, q: Tensor, ids: Tensor, u: Tensor) -> Tensor:
    token, left = recursive_rejection(p, q, ids, u)
    return torch.where(token < 0, invert(left, u[:, -1]), token)


def _shuffled(q: Tensor, generator: Generator) -> Tensor:
    """In a random order of positions: as good as any, where the drafts are i.i.d."""
    ids = by_inverse_cdf(q, generator)
    return ids.gather(1, torch.rand(ids.shape, generator=generator).argsort(1))


CORRECT = {
    "inverse_cdf": _pair(by_inverse_cdf, rrs, scheme="recursive_rejection"),
    "gumbel_argmax": _pair(by_gumbel_argmax, rrs),
    "float32": _pair(by_gumbel_argmax, rrs, dtype="float32"),
    "shuffled": _pair(_shuffled, rrs),
    "gumbel_top_n": _pair(by_gumbel_top_n, rrs_distinct, drafting="without_replacement"),
    "independent": _pair(by_inverse_cdf, rrs, drafting="independent", scheme="recursive_rejection"),
    "greedy": _pair(by_top_and_one, target_only, drafting="greedy"),
    "hub": _pair(by_hub, target_only, drafting="hub", n_drafts=2),
    "one_draft": _pair(by_gumbel_argmax, rrs, n_drafts=1, scheme="single_draft"),
    "numpy": _pair(_numpy_proposer, _numpy_target, array="numpy"),
    "unbatched": _pair(_one_position, _one_verified, array="numpy", batched=False),
    "seed": _pair(
        lambda q, seed: by_gumbel_argmax(q, _seeded(seed, 0)),
        lambda p, q, ids, seed: rrs(p, q, ids, _seeded(seed, 1)),
        rng="seed",
    ),
    "uniforms": _pair(invert, _with_uniforms, rng="uniforms"),
    "global": _pair(
        lambda q: (q.log() + gumbel(q, None)).argmax(-1),
        lambda p, q, ids: torch.multinomial(p, 1)[:, 0],
        rng="global",
    ),
}


# --- defective pairs ---------------------------------------------------------------------------------------------


def _argmax_drafts(q: Tensor, generator: Generator) -> Tensor:
    """B03, HF#32867, jaymody#3, llama.cpp#5625: the likeliest token is drafted, the verifier divides by softmax q."""
    return q.argmax(-1)


def _at_temperature(q: Tensor, generator: Generator) -> Tensor:
    """B04, HF#47932: the drafter sampled at a temperature, q is raw."""
    warmer = q ** (1 / 0.8)
    return by_inverse_cdf(warmer / warmer.sum(-1, keepdim=True), generator)


def _top_k(q: Tensor, generator: Generator) -> Tensor:
    """B04, HF#47932: the drafter sampled from its top k, q is raw."""
    kth = q.topk(min(4, q.shape[-1]), dim=-1).values[..., -1:]
    return by_inverse_cdf(torch.where(q >= kth, q, 0.0), generator)


def _bfloat16(q: Tensor, generator: Generator) -> Tensor:
    """B32, DeepSpec#31: drafts drawn in bfloat16 (log q + noise rounds to ties), q handed over in full precision."""
    return (q.bfloat16().log() + gumbel(q.bfloat16(), generator)).argmax(-1)


_NOISE: dict[str, Tensor] = {}


def _keeps_noise(q: Tensor, generator: Generator) -> Tensor:
    _NOISE["gumbel"] = gumbel(q, generator)
    return (q.log() + _NOISE["gumbel"]).argmax(-1)


def _shared_gumbel(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """B15, vLLM#47386, #54282: the residual is drawn with the noise that the draft was drawn with."""
    token, left = recursive_rejection(p, q, ids, _coins(ids, p, generator))
    return torch.where(token < 0, (left.log() + _NOISE["gumbel"][:, -1]).argmax(-1), token)


def _noise_of(seed: int, salt: int, law: Tensor) -> Tensor:
    return gumbel(law, _seeded(seed, salt))


def _seed_serves_twice(p: Tensor, q: Tensor, ids: Tensor, seed: int) -> Tensor:
    """B15, vLLM#47386: the noise of the residual comes from the same seed, at the same offset, as the draft's."""
    token, left = recursive_rejection(p, q, ids, _coins(ids, p, _seeded(seed, 1)))
    return torch.where(token < 0, (left.log() + _noise_of(seed, 0, q)[:, -1]).argmax(-1), token)


def _keeps_uniforms(q: Tensor, generator: Generator) -> Tensor:
    _NOISE["uniform"] = torch.rand(q.shape[:2], generator=generator, dtype=q.dtype)
    return invert(q, _NOISE["uniform"])


def _shared_residual_uniform(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """B01/B15, flashinfer#424, sglang#7207: the residual is drawn by the uniform the draft was drawn by."""
    token, left = recursive_rejection(p, q, ids, _coins(ids, p, generator))
    return torch.where(token < 0, invert(left, _NOISE["uniform"][:, -1]), token)


def _shared_coin(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """B01, vllm-ascend#16370: drafts are accepted by the uniforms they were drawn by."""
    token, left = recursive_rejection(p, q, ids, _NOISE["uniform"])
    return torch.where(token < 0, torch.multinomial(left, 1, generator=generator)[:, 0], token)


def _sorted(q: Tensor, generator: Generator) -> Tensor:
    """B31, vLLM#41044: drafts in the order of their ids."""
    return by_inverse_cdf(q, generator).sort(1).values


def _by_probability(q: Tensor, generator: Generator) -> Tensor:
    """B31, llama.cpp#5625: distinct drafts, sorted by q instead of the order they were drawn in."""
    ids = by_gumbel_top_n(q, generator)
    return ids.gather(1, q[:, 0].gather(1, ids).argsort(1, descending=True))


def _row_0(q: Tensor, generator: Generator) -> Tensor:
    """B02/B31, flashinfer#425: every row is drafted from the first row's q."""
    return by_inverse_cdf(q[:1].expand(q.shape), generator)


def _neighbours_q(q: Tensor, generator: Generator) -> Tensor:
    """B31, vLLM#14645: every row is drafted from the q of the row before it."""
    return by_inverse_cdf(q.roll(1, dims=0), generator)


def _rows_share(q: Tensor, generator: Generator) -> Tensor:
    """B23, TRT-LLM#19487: two rows share one stream."""
    u = torch.rand(((len(q) + 1) // 2, q.shape[1]), generator=generator, dtype=q.dtype)
    return invert(q, u.repeat_interleave(2, dim=0)[: len(q)])


def _drafts_share(q: Tensor, generator: Generator) -> Tensor:
    """B22, FastDeploy#5568: one seed for all drafts of a step."""
    return invert(q, torch.rand((len(q), 1), generator=generator, dtype=q.dtype).expand(q.shape[:2]))


def _drafters_swapped(q: Tensor, generator: Generator) -> Tensor:
    """B31, vLLM#37639: the drafters' rows in another order than they are verified in."""
    return by_inverse_cdf(q.flip(1), generator)


def _smoothed(q: Tensor, generator: Generator) -> Tensor:
    """B43, vLLM#2336: a clamp at a small mass gives every token some."""
    return by_inverse_cdf(q.clamp_min(1e-3), generator)


def _narrow_ids(q: Tensor, generator: Generator) -> Tensor:
    """B33, vLLM#46560: ids that pass through a narrower integer."""
    return by_inverse_cdf(q, generator).to(torch.int32).remainder(65_536).to(torch.int64)


def _never_the_last(q: Tensor, generator: Generator) -> Tensor:
    """B26, feifeibear: one end of the vocabulary is a sentinel."""
    return by_inverse_cdf(q, generator).clamp_max(max(0, q.shape[-1] - 2))


def _unseeded(q: Tensor, generator: Generator) -> Tensor:
    """sglang#33395: draft proposals do not use the request's seed."""
    fresh = torch.Generator()
    fresh.seed()
    return by_inverse_cdf(q, fresh)


def _one_seed(q: Tensor, generator: Generator) -> Tensor:
    """B22, feifeibear: the generator is seeded afresh in every call."""
    return by_inverse_cdf(q, torch.Generator().manual_seed(123))


def _in_place(q: Tensor, generator: Generator) -> Tensor:
    """B10, vllm-ascend#2881: q is scaled where it lies."""
    return invert(q.mul_(1.0), torch.rand(q.shape[:2], generator=generator, dtype=q.dtype))


def _greedy_last_first(q: Tensor, generator: Generator) -> Tensor:
    """Hu et al.'s drafts with the drawn one first."""
    return by_top_and_one(q, generator).roll(1, dims=1)


def _greedy_all_drawn(q: Tensor, generator: Generator) -> Tensor:
    """B03: every draft is drawn where all but the last are given."""
    return by_gumbel_top_n(q, generator)


def _hub_always_first(q: Tensor, generator: Generator) -> Tensor:
    """SpecHub's pairs with the hub always first."""
    return by_top_and_one(q, generator)


#: name -> the pair.
DEFECTIVE = {
    "argmax_drafts": _pair(_argmax_drafts, rrs),
    "at_temperature": _pair(_at_temperature, rrs),
    "top_k": _pair(_top_k, rrs),
    "bfloat16": _pair(_bfloat16, rrs),
    "shared_gumbel": _pair(_keeps_noise, _shared_gumbel),
    "shared_residual_uniform": _pair(_keeps_uniforms, _shared_residual_uniform),
    "shared_coin": _pair(_keeps_uniforms, _shared_coin),
    "shared_gumbel_one_draft": _pair(_keeps_noise, _shared_gumbel, n_drafts=1),
    "same_seed": _pair(
        lambda q, seed: (q.log() + _noise_of(seed, 0, q)).argmax(-1), _seed_serves_twice, rng="seed", n_drafts=1
    ),
    "sorted": _pair(_sorted, rrs),
    "by_probability": _pair(_by_probability, rrs_distinct, drafting="without_replacement"),
    "row_0": _pair(_row_0, rrs),
    "neighbours_q": _pair(_neighbours_q, rrs),
    "rows_share": _pair(_rows_share, rrs),
    "drafts_share": _pair(_drafts_share, rrs),
    "drafters_swapped": _pair(_drafters_swapped, rrs, drafting="independent"),
    "smoothed": _pair(_smoothed, rrs),
    "narrow_ids": _pair(_narrow_ids, rrs),
    "never_the_last": _pair(_never_the_last, rrs),
    "unseeded": _pair(_unseeded, rrs),
    "one_seed": _pair(_one_seed, rrs),
    "in_place": _pair(_in_place, rrs),
    "with_replacement": _pair(by_inverse_cdf, rrs_distinct, drafting="without_replacement"),  # B27, hipfire#483
    "without_replacement": _pair(by_gumbel_top_n, target_only, drafting="with_replacement"),  # B25, EAGLE#47
    "greedy_last_first": _pair(_greedy_last_first, target_only, drafting="greedy"),
    "greedy_all_drawn": _pair(_greedy_all_drawn, target_only, drafting="greedy"),
    "hub_always_first": _pair(_hub_always_first, target_only, drafting="hub", n_drafts=2),
}
