from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spectest import InvalidProblem, Problem, UsageError, schemes
from spectest.declaration import declared_by
from spectest.problem import DRAFTING

MODULES = {name: import_module(path) for name, path in schemes.SCHEMES.items()}
#: Every scheme's `select`, and one function for each law where there are several.
ADDRESSES = [
    (name, function)
    for name, module in MODULES.items()
    for function in ("select", *schemes.get(name).laws)
    if function == "select" or hasattr(module, function)
]


@pytest.mark.parametrize("name", schemes.SCHEMES)
def test_every_scheme_is_found_under_its_name_with_each_of_its_laws(name: str) -> None:
    assert schemes.get(name).name == name
    laws = schemes.get(name).laws
    assert schemes.get(name).drafting == laws[0]
    for law in laws:
        assert law in DRAFTING
        assert schemes.get(name, drafting=law).drafting == law


def test_target_only_has_every_drafting_law() -> None:
    assert schemes.get("target_only").laws == tuple(DRAFTING)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "nonesuch"}, "`name` must be one of single_draft, target_only"),
        ({"name": None}, "`name` must be one of"),
        ({"name": "single_draft", "rho": 2}, "unknown option rho of single_draft; it has none"),
        ({"name": "recursive_rejection", "drafting": "greedy"}, "with_replacement, without_replacement, independent"),
        ({"name": "recursive_rejection", "drafting": 3}, "`drafting` of recursive_rejection"),
    ],
)
def test_bad_requests_list_what_exists(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schemes.get(**arguments)


@pytest.mark.parametrize(("module", "function"), ADDRESSES)
def test_plain_functions_declare_how_to_call_them(module: str, function: str) -> None:
    declared = declared_by(getattr(MODULES[module], function))
    assert declared.broadcast
    assert declared.lossless == (module != "global_resolution")
    assert declared.scheme == module
    assert DRAFTING[declared.drafting].fixed_drafts in (None, declared.n_drafts)
    assert declared.drafting == (schemes.get(module).laws[0] if function == "select" else function)


def test_a_problem_the_scheme_is_not_for_is_refused() -> None:
    law = np.full(3, 1 / 3)
    with pytest.raises(InvalidProblem, match="`n_drafts` must be 1 for single_draft, got 2"):
        schemes.get("single_draft").acceptance(Problem(law, law, 2))
    with pytest.raises(InvalidProblem, match="`n_drafts`"):
        schemes.get("single_draft").output_law(Problem(law, law, 2))
    with pytest.raises(UsageError, match=r"`problem` must be a spectest\.Problem, got dict"):
        schemes.get("target_only").acceptance({})  # type: ignore[arg-type]


def test_a_law_the_scheme_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DRAFTING, "borrowed", DRAFTING["with_replacement"])
    problem = Problem([0.5, 0.5], [0.5, 0.5], 2, "borrowed")
    with pytest.raises(UsageError, match=r"`drafting` of recursive_rejection must be one of .*, got 'borrowed'"):
        schemes.get("recursive_rejection").acceptance(problem)


def test_exact_values_need_no_torch() -> None:
    code = (
        "import sys; from spectest import Problem, schemes\n"
        "for name in schemes.SCHEMES:\n"
        "    scheme = schemes.get(name)\n"
        "    n = 2 if scheme.drafting == 'hub' else 1\n"
        "    problem = Problem([.5, .5], [.2, .8], n, scheme.drafting)\n"
        "    scheme.acceptance(problem), scheme.output_law(problem)\n"
        "print('torch' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    child = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=False, text=True)
    assert (child.stdout.strip(), child.stderr) == ("False", "")


GOOD: dict[str, Any] = {
    "target_probs": torch.full((2, 3), 1 / 3),
    "draft_probs": torch.full((2, 1, 3), 1 / 3),
    "draft_token_ids": torch.zeros((2, 1), dtype=torch.int64),
    "generator": torch.Generator(),
}


@pytest.mark.parametrize("name", schemes.SCHEMES)
@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("target_probs", torch.ones(3), r"`target_probs` must be a tensor of shape \(B, V\), got \(3,\)"),
        ("target_probs", [[1.0]], "`target_probs` must be a tensor of shape .* got list"),
        ("target_probs", torch.ones((2, 4)), "must agree"),
        ("target_probs", torch.ones((2, 3), dtype=torch.int64), "floating-point"),
        ("target_probs", torch.zeros((2, 3)), "`target_probs` must have rows of positive, finite sum"),
        ("target_probs", torch.full((2, 3), float("nan")), "`target_probs` must have rows"),
        ("draft_probs", torch.ones((2, 3)), "`draft_probs` must be a tensor of shape"),
        ("draft_probs", torch.ones((2, 2, 3)), "must agree"),
        ("draft_token_ids", torch.zeros((2, 1), dtype=torch.int32), "`draft_token_ids` must be int64, got torch.int32"),
        ("draft_token_ids", torch.full((2, 1), 3), r"must lie in \[0, 3\), got 3 \.\. 3"),
        ("draft_token_ids", torch.full((2, 1), -1), r"must lie in \[0, 3\), got -1 \.\. -1"),
        ("draft_token_ids", torch.zeros((3, 1), dtype=torch.int64), "must agree"),
        ("generator", np.random.default_rng(), "`generator` must be a torch.Generator, got Generator"),
    ],
)
def test_bad_tensors_are_named(name: str, argument: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        schemes.get(name).select(**(GOOD | {argument: value}))


def test_tensors_on_two_devices_are_refused() -> None:
    with pytest.raises(UsageError, match="on one device, got cpu, meta"):
        schemes.get("target_only").select(**(GOOD | {"target_probs": GOOD["target_probs"].to("meta")}))


def test_single_draft_selects_from_one_draft_only() -> None:
    two = {"draft_probs": torch.full((2, 2, 3), 1 / 3), "draft_token_ids": torch.zeros((2, 2), dtype=torch.int64)}
    with pytest.raises(UsageError, match="one draft per row for single_draft, got 2"):
        schemes.get("single_draft").select(**(GOOD | two))
