"""Defects of calls: determinism, state kept from one call to the next, inputs written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Generator

from .core import correct, inverse_cdf, normalised, toss, verify
from .registry import bug

if TYPE_CHECKING:
    from torch import Tensor


_ANSWERS: dict[tuple[Any, ...], Tensor] = {}
_LATE: dict[tuple[Any, ...], Tensor] = {}
_PLANS: dict[tuple[Any, ...], tuple[Tensor, Tensor]] = {}
_COINS: dict[tuple[Any, ...], Tensor] = {}
_TARGETS: dict[tuple[Any, ...], Tensor] = {}
_GENERATORS: dict[torch.device, Generator] = {}
_DRAFTS: dict[tuple[Any, ...], Tensor] = {}
_CALLS: dict[str, int] = {}


@bug("determinism", "B22", "vLLM#6038, TRT-LLM#17599", needs="another_seed")
def generator_ignored(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Reseeds with 0 at every call."""
    return correct(p, q, ids, Generator(ids.device).manual_seed(0))


@bug("determinism", citation="sglang#33395", needs="same_seed")
def private_generator(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A stream of its own: the law is right, the caller's seed has no effect."""
    return correct(p, q, ids, _GENERATORS.setdefault(ids.device, Generator(ids.device)))


@bug("state", needs="repeated_shape")
def answer_cached_by_shape(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A captured graph replays its first answer for every later call of that shape."""
    return _ANSWERS.setdefault(tuple(p.shape), correct(p, q, ids, generator)).clone()


@bug("state", "B42", "openvino.genai#4190", needs="repeated_shape")
def one_call_late(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Returns the answer to the previous call of that shape."""
    token, key = correct(p, q, ids, generator), tuple(p.shape)
    late, _LATE[key] = _LATE.get(key, token), token
    return late.clone()


@bug("state", "B31", "vLLM#37639, 1Cat-vLLM#656", needs="repeated_shape")
def plan_cached_by_shape(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Laws of the first call are kept for every later call of that shape."""
    target, draft = _PLANS.setdefault(tuple(q.shape), (p.clone(), q.clone()))
    return correct(target, draft, ids, generator)


@bug("state", needs="reused_buffer")
def plan_cached_by_pointer(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The target is cached by its address: stale as soon as the buffer is filled anew."""
    return correct(_TARGETS.setdefault((p.data_ptr(), *p.shape), p.clone()), q, ids, generator)


@bug("determinism", needs="call_in_between")
def final_coin_one_call_late(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The final draw reads the coins of the previous call of that shape: every law is right, the state is not."""
    coins = toss(ids, generator)
    late, _COINS[key] = _COINS.get(key := tuple(coins.shape), coins), coins
    return verify(p, q, ids, torch.cat([coins[:, :-1], late[:, -1:]], dim=1))


@bug("state", needs="first_call")
def first_call_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The first call of a process only compiles, and returns its first drafts."""
    _CALLS["first"] = _CALLS.get("first", 0) + 1
    return ids[:, 0].clone() if _CALLS["first"] == 1 else correct(p, q, ids, generator)


@bug("state", needs="reused_output")
def output_buffer_reused(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Returns the same buffer at every call: an answer kept by the caller changes under its hands."""
    buffer = _ANSWERS.setdefault(("buffer", *ids.shape), torch.empty_like(ids[:, 0]))
    return buffer.copy_(correct(p, q, ids, generator))


@bug("mutation", citation="MCSD, `ground_probs`")
def target_overwritten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Leaves the residual in the caller's target."""
    token = correct(p, q, ids, generator)
    p -= q[:, 0]
    return token


@bug("mutation")
def drafts_overwritten(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Marks what it did not emit with -1 in the caller's drafts."""
    token = correct(p, q, ids, generator)
    ids.masked_fill_(ids != token[:, None], -1)
    return token


@bug("state", "B31", "vLLM#47066, vLLM#41044", needs="repeated_shape")
def draft_cached_by_shape(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q of the first call is kept for every later call of that shape."""
    return correct(p, _DRAFTS.setdefault(tuple(q.shape), q.clone()), ids, generator)


@bug("state", "B11", "sglang#12561", needs="repeated_shape")
def workspace_not_zeroed(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """q is added into a workspace that is taken to be zero, as it is at the first call of a shape alone."""
    workspace = _DRAFTS.setdefault(("workspace", *q.shape), torch.zeros_like(q))
    return correct(p, normalised(workspace.add_(q), q), ids, generator)


@bug("state", "B11", "sglang#12561", needs="smaller_vocabulary")
def workspace_outgrown(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """A workspace as wide as the largest vocabulary so far is read in all its width, of which a call fills its part."""

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        rows, vocab = left.shape
        workspace = _LATE.get(("columns",), left[:0])
        if len(workspace) < rows or workspace.shape[1] < vocab:
            workspace = left.new_zeros(max(rows, len(workspace)), max(vocab, workspace.shape[1]))
            _LATE["columns",] = workspace
        workspace[:rows, :vocab] = left
        return inverse_cdf(workspace[:rows], coin).clamp_max(vocab - 1)

    return verify(p, q, ids, toss(ids, generator), draw=draw)


@bug("dependence", "B34", "vllm-ascend#13608", needs="next_call")
def generator_advanced_by_half(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The generator moves on by half of what was used: the next call's first rows get this one's last coins."""
    half = len(ids) // 2
    coins = toss(ids[: len(ids) - half], generator)
    ahead = toss(ids[:half], generator.clone_state())
    return verify(p, q, ids, torch.cat([coins, ahead]))


@bug("state", needs="every_16th_call")
def every_16th_call_not_verified(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """Each sixteenth call returns its first drafts."""
    _CALLS["all"] = _CALLS.get("all", 0) + 1
    return ids[:, 0].clone() if _CALLS["all"] % 16 == 0 else correct(p, q, ids, generator)


@bug("determinism", "B11", "sglang#12561", needs="littered_memory")
def scratch_not_filled(p: Tensor, q: Tensor, ids: Tensor, generator: Generator) -> Tensor:
    """The last column of the residual's buffer is never written: what was freed there last is its mass."""
    scratch = torch.empty_like(p)

    def draw(left: Tensor, coin: Tensor) -> Tensor:
        scratch[:, :-1] = left[:, :-1]
        law = scratch.nan_to_num(0, 0, 0).clamp(0, 1) * (left > 0)
        return inverse_cdf(normalised(law, left), coin)

    return verify(p, q, ids, toss(ids, generator), draw=draw)
