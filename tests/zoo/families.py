"""Families of published bugs that the zoo does not hold, and why: they are not in the selection of one token."""

from __future__ import annotations

from typing import Final

#: Families of the survey are numbered; every other one has an entry in the zoo.
ELSEWHERE: Final[dict[str, str]] = {
    "B13": "the bonus token drawn without the request's parameters (EAGLE bf10ac5, lucebox#374): needs a chain",
    "B20": "block verification with the acceptance or the residual of single tokens (vllm-ascend#7807): needs a chain",
    "B21": "block verification that takes an n-gram draft's q for 1 (vllm-ascend#7603): needs a chain",
    "B40": "accepted tokens miscounted (vLLM#2658, vLLM#10604): a metric, no token is wrong",
    "B41": "tensor-parallel ranks that accept different tokens (vLLM#17498, sglang#38565): needs several devices",
    "B44": "padding of -1 verified as a draft (flashinfer#879, vllm-ascend#10043): every id here is a draft",
}
#: Numbers that the survey leaves out.
UNUSED: Final = frozenset({"B45"})
LAST: Final = 49
