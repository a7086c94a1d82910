"""Compare schemes over the published grid and write docs/comparison.md and .svg: `python scripts/compare.py`.

Takes about ten minutes on one quiet core. Laws are synthetic; times are of one position, plan included, and mean
something only beside each other.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import statistics
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spectest import Problem, ProblemTooLarge, drafting, schemes
from spectest.optimum import bound
from spectest.schemes.common.planning import forget
from spectest.schemes.global_resolution import GlobalResolution
from spectest.schemes.importance import Importance
from spectest.throughput.machine import processor

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
V: Final = 128_256
SUPPORTS: Final = (10, 100, 1000, V)
DRAFTS: Final = (2, 3, 4, 6, 8)
REPEATS: Final = 5
#: A scheme that takes longer than this for one position is timed once.
LONG: Final = 0.5  # seconds
PREAMBLE: Final = f"""V = {V:,}. The laws are synthetic (target: Zipf with exponent 1.5, log-normal noise of σ = 0.5;
drafters: noisy copies with σ = 0.7, cut to their likeliest tokens), so that figures of papers that used language models
cannot be expected here. Acceptance is exact and by membership, its distance is to the optimum of the scheme's own
drafting law; `ms` is one position, plan and selection. `global_resolution` has τ = 1e-3; where it fails, its rows are
those of recursive rejection; its distance may be negative, which no lossless scheme's is. `importance` lets a linear
program choose among s = 5 tokens, which is made for laws that a few tokens carry."""
IID: Final = ("seats", "global_resolution", "importance", "importance, s = 40", "k_seq", "recursive_rejection")
#: title -> (drafting law of each scheme, numbers of drafts).
PARTS: Final[dict[str, tuple[dict[str, str], tuple[int, ...]]]] = {
    "Identical drafters": (dict.fromkeys(IID, "with_replacement"), DRAFTS),
    "Two different drafters": (
        dict.fromkeys(("seats", "importance", "importance, s = 40", "recursive_rejection"), "independent"),
        (2,),
    ),
    "Two distinct drafts": (
        {
            "seats": "without_replacement",
            "recursive_rejection": "without_replacement",
            "spechub": "hub",
        },
        (2,),
    ),
}


@dataclass(frozen=True)
class Cell:
    """A scheme on the problems of one support and one number of drafts."""

    support: int
    n: int
    scheme: str
    acceptance: float  # mean
    bounded: bool  # whether some acceptance is only known from below
    gap: float  # mean distance to the optimum of its drafting law; negative where it is not lossless, or by rounding
    deviation: float | None  # largest L1 distance of the output's law from the target, where it has an exact route
    success: float  # share of problems
    milliseconds: float  # median


def laws(rng: np.random.Generator, support: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a target over V tokens and two drafters, noisy copies of it cut to their likeliest `support` tokens."""
    logits = -1.5 * np.log(rng.permutation(V) + 1) + 0.5 * rng.standard_normal(V)
    drafts = []
    for _ in range(2):
        noisy = logits + 0.7 * rng.standard_normal(V)
        kept = np.argpartition(noisy, -support)[-support:]
        draft = np.zeros(V)
        draft[kept] = np.exp(noisy[kept] - noisy[kept].max())
        drafts.append(draft / draft.sum())
    target = np.exp(logits - logits.max())
    return target / target.sum(), drafts[0], drafts[1]


def problem_of(made: tuple[np.ndarray, np.ndarray, np.ndarray], n: int, law: str) -> Problem:
    """Return the problem of a drafting law; `independent` has both drafters."""
    target, first, second = made
    return Problem(target, np.stack([first, second]) if law == "independent" else first, n, law)


def named(name: str, law: str) -> schemes.Scheme:
    """Return a scheme from its name, with its truncation behind a comma where that is not the default."""
    scheme, _, truncation = name.partition(", s = ")
    return schemes.get(scheme, drafting=law, **({"s": int(truncation)} if truncation else {}))


def accepted(scheme: schemes.Scheme, problem: Problem) -> tuple[float, bool]:
    """Return the exact acceptance, or what the winner alone is worth where the rest has no exact route."""
    try:
        return scheme.acceptance(problem), False
    except ProblemTooLarge:
        if not isinstance(scheme, Importance):
            raise
        law = scheme.plan(problem).law  # of its winner
        return float(np.minimum(problem.target, law).sum()), True


def seconds(scheme: schemes.Scheme, problem: Problem, seed: int) -> float:
    """Return the median time of selecting one position, nothing planned before."""
    ids = torch.from_numpy(drafting.get(problem.drafting).sampler(problem)(np.random.default_rng(seed), 1))
    inputs = torch.tensor(problem.target)[None], torch.tensor(problem.draft_rows.copy())[None], ids
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < LONG:
        forget()
        generator = torch.Generator().manual_seed(seed)
        started = time.perf_counter()
        scheme.select(*inputs, generator)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def cell(name: str, law: str, made: list[Any], support: int, n: int) -> Cell:
    """Measure one scheme on the problems of a cell."""
    scheme = named(name, law)
    found, gaps, deviations, times, successes, bounded = [], [], [], [], [], False
    for seed, each in enumerate(made):
        problem = problem_of(each, n, law)
        optimum = bound(problem).value
        success = True
        if isinstance(scheme, GlobalResolution):
            resolution = scheme.resolve(problem)
            success = resolution.success
            value = resolution.acceptance if success else scheme.acceptance(problem)
            deviations.append(resolution.deviation if success else 0.0)
        else:
            value, below = accepted(scheme, problem)
            bounded = bounded or below
            with contextlib.suppress(ProblemTooLarge):
                deviations.append(float(np.abs(scheme.output_law(problem) - problem.target).sum()))
        found.append(value)
        gaps.append(optimum - value)
        successes.append(success)
        times.append(seconds(scheme, problem, seed))
    return Cell(
        support,
        n,
        name,
        statistics.mean(found),
        bounded,
        statistics.mean(gaps),
        max(deviations, default=None),
        statistics.mean(successes),
        1e3 * statistics.median(times),
    )


def measured(title: str, problems: int, supports: tuple[int, ...]) -> Iterator[Cell]:
    """Measure a part, telling how it goes."""
    by_scheme, drafts = PARTS[title]
    for support in supports:
        rng = np.random.default_rng(support)
        made = [laws(rng, support) for _ in range(problems)]
        for n in drafts:
            for name, law in by_scheme.items():
                done = cell(name, law, made, support, n)
                print(title, done, flush=True)
                yield done


def table(cells: list[Cell]) -> list[str]:
    """Return a table, in Markdown."""
    head = "| support of q | n | scheme | acceptance | below the optimum | deviation (L1) | success | ms |"
    lines = [head, "|---:|---:|---|---:|---:|---:|---:|---:|"]
    for c in cells:
        value, gap = (
            (f"≥ {c.acceptance:.4f}", f"≤ {c.gap:.1e}") if c.bounded else (f"{c.acceptance:.4f}", f"{c.gap:.1e}")
        )
        support = "all" if c.support == V else str(c.support)
        deviation = "–" if c.deviation is None else f"{c.deviation:.0e}"
        lines.append(
            f"| {support} | {c.n} | `{c.scheme}` | {value} | {gap} | {deviation} | {c.success:.0%} "
            f"| {c.milliseconds:.2f} |"
        )
    return lines


def plot(cells: list[Cell], path: Path) -> None:
    """Draw gap and time against n, a column for each support."""
    import matplotlib as mpl  # noqa: PLC0415 (optional: the extra `plots`)

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "spectest"
    from matplotlib import pyplot as plt  # noqa: PLC0415 (after its backend is chosen)

    supports = sorted({c.support for c in cells})
    figure, axes = plt.subplots(
        2, len(supports), figsize=(3 * len(supports), 5.5), sharex=True, sharey="row", squeeze=False
    )
    for column, support in zip(axes.T, supports, strict=True):
        for name in IID:
            mine = [c for c in cells if c.scheme == name and c.support == support]
            column[0].plot([c.n for c in mine], [max(c.gap, 1e-16) for c in mine], marker="o", label=name)
            column[1].plot([c.n for c in mine], [c.milliseconds for c in mine], marker="o")
        column[0].set_title("all tokens" if support == V else f"top {support}")
        column[1].set_xlabel("drafts")
        for axis in column:
            axis.set_yscale("log")
    axes[0][0].set_ylabel("below the optimum")
    axes[1][0].set_ylabel("ms per position")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=len(IID), frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def main() -> int:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=10, help="per cell")
    parser.add_argument("--supports", type=int, nargs="+", default=list(SUPPORTS))
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {title: list(measured(title, options.problems, tuple(options.supports))) for title in PARTS}
    text = [
        "# Schemes side by side",
        "",
        f"Written by `python scripts/compare.py --problems {options.problems}` in one run: {processor()}, one thread,",
        f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}.",
        "",
        textwrap.fill(PREAMBLE, 118),
        "",
        "![Distance to the optimum and time against the number of drafts](comparison.svg)",
        "",
    ]
    for title, cells in parts.items():
        text += [f"## {title}", "", *table(cells), ""]
    (options.out / "comparison.md").write_text("\n".join(text), encoding="utf-8")
    plot(next(iter(parts.values())), options.out / "comparison.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
