"""The transformers adapter: which contracts it knows, and that what it wraps is the published function."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from spectest import Problem, UsageError, assert_lossless
from spectest.adapters import ADAPTERS
from spectest.declaration import declared_by
from spectest.engine.address import resolve

transformers = pytest.importorskip("transformers")
adapter = pytest.importorskip("spectest.adapters.transformers")


def published(
    candidate_input_ids: Any, candidate_logits: Any, candidate_length: Any, new_logits: Any, **extra: Any
) -> None:
    """The leading parameters every known version has."""


def test_every_adapter_resolves() -> None:
    for address in ADAPTERS.values():
        assert callable(resolve(address))


def test_contracts_of_known_versions() -> None:
    def early(
        candidate_input_ids: Any,
        candidate_logits: Any,
        candidate_length: Any,
        new_logits: Any,
        last_assistant_token_is_eos: Any,
        max_matches: Any,
    ) -> None: ...

    def middle(
        candidate_input_ids: Any, candidate_logits: Any, candidate_length: Any, new_logits: Any, is_done_candidate: Any
    ) -> None: ...

    assert adapter.contract_of(early) == {"last_assistant_token_is_eos": False, "max_matches": 1}
    assert adapter.contract_of(middle) == {"is_done_candidate": False}


def test_an_unknown_contract_is_refused_by_name() -> None:
    def reordered(new_logits: Any, candidate_input_ids: Any, candidate_logits: Any, candidate_length: Any) -> None: ...

    with pytest.raises(UsageError, match="does not know"):
        adapter.contract_of(reordered)
    with pytest.raises(UsageError, match="extra"):
        adapter.contract_of(published)


def test_the_contract_found_is_reported() -> None:
    found = adapter.speculative_sampling.__spectest_environment__
    assert found["transformers"] == transformers.__version__
    assert "candidate_logits" in found["contract"]


def test_same_seed_same_token_whatever_the_global_generator() -> None:
    import torch

    target, draft = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([[0.5, 0.3, 0.2]])
    ids = torch.tensor([0])
    first = [adapter.speculative_sampling(target, draft, ids, seed) for seed in range(40)]
    torch.manual_seed(1)
    assert first == [adapter.speculative_sampling(target, draft, ids, seed) for seed in range(40)]
    assert len(set(first)) > 1


def test_what_it_wraps_is_lossless_and_the_wrong_q_is_not() -> None:
    seed = int(np.random.default_rng().integers(2**31))
    problem = Problem([0.6, 0.3, 0.1], [0.2, 0.3, 0.5])
    declared = {
        key: value
        for key, value in declared_by(adapter.speculative_sampling).to_dict().items()
        if key not in {"drafting", "n_drafts", "scheme"}
    }
    assert_lossless(adapter.speculative_sampling, problem, seed=seed, **declared)

    def wrong(target: Any, draft: Any, ids: Any, fourth: int) -> int:
        told = (draft.log() / 4).softmax(dim=-1)
        return int(adapter.speculative_sampling(target, told, ids, fourth))

    with pytest.raises(AssertionError, match="total variation"):
        assert_lossless(wrong, problem, seed=seed, **declared)


def test_without_the_package_one_line_names_the_extra() -> None:
    code = "import sys; sys.modules['transformers'] = None; import spectest.adapters.transformers"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "UsageError" in done.stderr
    assert "spectest[transformers]" in done.stderr
