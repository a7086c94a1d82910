"""HuggingFace transformers' `_speculative_sampling`, wrapped as a one-draft selector (γ = 1, first emitted token).

The function takes logits, a batch of one, and draws from torch's global generator; its parameters changed over the
versions. What was found is in `CONTRACT`, and in every report's environment.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from spectest.declaration import selector
from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

try:
    from transformers import __version__ as _version
    from transformers.generation.utils import _speculative_sampling
except ImportError as error:
    msg = f"the transformers adapter needs the extra: pip install 'spectest[transformers]' ({error})"
    raise UsageError(msg) from error

_LEADING: Final = ("candidate_input_ids", "candidate_logits", "candidate_length", "new_logits")
#: Parameters that versions added after the leading four, and the value that means plain, lossless verification.
_KNOWN: Final[dict[str, Any]] = {
    "last_assistant_token_is_eos": False,
    "max_matches": 1,
    "is_done_candidate": False,
    "assistant_ensemble_weight": None,
}


def contract_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments, beside the leading four, with which `function` verifies one draft losslessly.

    Args:
        function: a version of `_speculative_sampling`.

    Raises:
        UsageError: its parameters are none that this adapter knows.

    Example:
        >>> contract_of(lambda candidate_input_ids, candidate_logits, candidate_length, new_logits, max_matches: 0)
        {'max_matches': 1}
    """
    names = tuple(inspect.signature(function).parameters)
    extra = names[len(_LEADING) :]
    unknown = [name for name in extra if name not in _KNOWN]
    if names[: len(_LEADING)] != _LEADING or unknown:
        msg = f"transformers {_version} has _speculative_sampling({', '.join(names)}), which this adapter does not know"
        raise UsageError(msg)
    return {name: _KNOWN[name] for name in extra}


_ARGUMENTS: Final = contract_of(_speculative_sampling)
#: How the installed version is called.
CONTRACT: Final = (
    f"_speculative_sampling({', '.join(_LEADING)}{''.join(f', {k}={v!r}' for k, v in _ARGUMENTS.items())})"
)


@selector(n_drafts=1, batched=False, rng="seed", dtype="float32", scheme="single_draft")
def speculative_sampling(
    target_probs: torch.Tensor, draft_probs: torch.Tensor, draft_token_ids: torch.Tensor, seed: int
) -> int:
    """Return the first token that transformers' own verification emits for one draft.

    Args:
        target_probs: (V,).
        draft_probs: (1, V).
        draft_token_ids: (1,).
        seed: of torch's global generator, the only one the function uses.
    """
    import torch  # noqa: PLC0415 (transformers has imported it)

    torch.default_generator.manual_seed(seed)
    new_logits = target_probs.log().expand(1, 2, -1)  # the draft's position, and the one after it
    tokens, _ = _speculative_sampling(draft_token_ids[None], draft_probs.log()[None], 1, new_logits, **_ARGUMENTS)
    return int(tokens[0, 0])


speculative_sampling.__spectest_environment__ = {  # type: ignore[attr-defined]
    "transformers": _version,
    "contract": CONTRACT,
}
