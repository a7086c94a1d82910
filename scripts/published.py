"""Write docs/published.md: published figures beside what spectest computes; `--check` fails where the file differs.

Every figure of the first tables is recomputed here and must agree with the published one to its last printed digit.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spectest import Problem, optimal_acceptance, schemes

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "published.md"
COMMAND = "python scripts/published.py"
WITHOUT: Final = "without_replacement"


@dataclass(frozen=True)
class Figure:
    """A published number, and the one computed here."""

    what: str
    published: str  # as printed: a fraction, or a decimal with its digits
    computed: float

    @property
    def agrees(self) -> bool:
        """Whether the two agree: to rounding for a fraction, to half a unit of the last digit for a decimal."""
        digits = len(self.published.partition(".")[2])
        room = 0.5000001 * 10.0**-digits if digits else 1e-14
        return abs(self.computed - float(Fraction(self.published))) <= room

    def __str__(self) -> str:
        """Return it as a line of a table."""
        return f"| {self.what} | {self.published} | {self.computed:.12g} | {'yes' if self.agrees else '**no**'} |"


def law(text: str) -> list[float]:
    """Return a law from fractions separated by spaces."""
    return [float(Fraction(mass)) for mass in text.split()]


def accepted(name: str, target: str, draft: str, n: int, drafting: str = "with_replacement") -> float:
    """Return the acceptance of a scheme, or of the optimum."""
    if name == "optimum":
        return optimal_acceptance(law(target), law(draft), n, drafting).value
    return schemes.get(name).acceptance(Problem(law(target), law(draft), n, drafting))


UNIFORM = "1/3 1/3 1/3"
#: x, then one draft, optimum, K-SEQ and recursive rejection, by first: the target is (first, x, 1 - first - x).
PANELS = {
    "1/3": """0 .6667 .88889 .81142 .77778
        1/18 .7222 .94444 .85092 .81481
        1/9 .7778 1 .88889 .85185
        1/6 .8333 1 .92476 .88889
        2/9 .8889 1 .95756 .92593
        1/3 1 1 1 1
        5/9 .7778 1 .88889 .85185
        2/3 .6667 .88889 .81142 .77778""",
    "1/6": """0 .5000 .72222 .68661 .66667
        1/6 .6667 .88889 .81142 .77778
        5/18 .7778 1 .88889 .85185
        1/3 .8333 1 .92476 .88889
        7/18 .8333 1 .95756 .94444
        5/9 .7778 1 .88889 .85185
        13/18 .6111 .83333 .77072 .74074
        5/6 .5000 .72222 .68661 .66667""",
}
COLUMNS = (("single_draft", 1), ("optimum", 2), ("k_seq", 2), ("recursive_rejection", 2))


def panels() -> list[Figure]:
    """Return Khisti et al.'s toy figure."""
    figures = []
    for first, rows in PANELS.items():
        for x, *values in (row.split() for row in rows.splitlines()):
            target = f"{first} {x} {1 - Fraction(first) - Fraction(x)}"
            figures += [
                Figure(f"target ({first}, {x}, rest): {name}", value, accepted(name, target, UNIFORM, n))
                for (name, n), value in zip(COLUMNS, values, strict=True)
            ]
    return figures


#: target, draft, n, then optimum and recursive rejection, with and without replacement.
RATIONALS = {
    "P1": ("309/500 177/500 7/250", "373/1000 29/50 47/1000", 2, "988871/1000000 1 169277/200000 192754417/200130000"),
    "P2": ("469/1000 124/1000 407/1000", "201/1000 275/1000 524/1000", 3, "1 1 207227133/250000000 1"),
}


def rationals() -> list[Figure]:
    """Return the certified fractions of the exact-rational study of recursive rejection."""
    figures = []
    for name, (target, draft, n, values) in RATIONALS.items():
        columns = [
            (scheme, how) for scheme in ("optimum", "recursive_rejection") for how in ("with_replacement", WITHOUT)
        ]
        for (scheme, how), value in zip(columns, values.split(), strict=True):
            what = f"{name}, n = {n}: {scheme}, {how.replace('_', ' ')}"
            figures.append(Figure(what, value, accepted(scheme, target, draft, n, how)))
    return figures


def worst_ratios() -> list[Figure]:
    """Return the worst ratios to the optimum for two drafts, at the problem that attains them."""
    target, draft = "5/9 4/9", "1/3 2/3"
    optimum = accepted("optimum", target, draft, 2)
    return [
        Figure(f"p = (5/9, 4/9), q = (1/3, 2/3): {name} / optimum", ratio, accepted(name, target, draft, 2) / optimum)
        for name, ratio in (("k_seq", "8/9"), ("recursive_rejection", "23/27"))
    ]


SECTIONS = {
    "Khisti et al. (arXiv 2410.18234), the figure with draft uniform(3) and two drafts": panels,
    "Certified fractions of an exact-rational study of recursive rejection": rationals,
    "Worst ratios of two drafts (SpecTr, arXiv 2310.15141, for K-SEQ; recursive rejection by search)": worst_ratios,
}
#: What cannot be recomputed: the figures, where they are, and why.
NEEDS_MODELS = "needs the language models' laws at each position, which were not published"
ELSEWHERE = (
    (
        "block efficiency and mean acceptance of importance selection, SpecTr and SpecInfer (OPT; Dolly, XSum, WMT)",
        "Khisti et al., tables 1 to 8",
        NEEDS_MODELS,
    ),
    (
        "optimum 86.9 % against 85.4 % for recursive rejection, and the like",
        "Hu et al. (arXiv 2502.18779), table 1",
        f"{NEEDS_MODELS}; acceptance above the bound in places is sampling error, given without intervals",
    ),
    (
        "solver times and success rates of Global Resolution (Llama-3, Gemma-2)",
        "Thomas and Pal (arXiv 2511.15898)",
        f"{NEEDS_MODELS}; docs/comparison.md has the method beside the others on synthetic laws, on one machine",
    ),
    ("block efficiency of SpecTr, Gumbel list sampling and SpecHub", "their papers", NEEDS_MODELS),
    (
        "expected lengths of block verification: 10/9, 11/9, 4/3",
        "Sun et al. (arXiv 2403.10444)",
        "chains are not verified yet",
    ),
)


def document() -> tuple[str, bool]:
    """Return the file, and whether every figure agrees."""
    parts = [
        "# Published figures",
        "",
        f"Written by `{COMMAND}`; a test holds the file to what the command writes. A decimal agrees to half a unit",
        "of its last printed digit, a fraction to rounding.",
        "",
    ]
    agree = True
    for title, figures in SECTIONS.items():
        lines = figures()
        agree = agree and all(line.agrees for line in lines)
        parts += [
            f"## {title}",
            "",
            "| figure | published | spectest | agrees |",
            "|---|---|---|---|",
            *map(str, lines),
            "",
        ]
    parts += ["## Not recomputed", "", "| published | where | why not here |", "|---|---|---|"]
    return "\n".join([*parts, *(f"| {' | '.join(row)} |" for row in ELSEWHERE), ""]), agree


def main() -> int:
    """Write or check; the exit code says whether all agree."""
    text, agree = document()
    if "--check" in sys.argv[1:]:
        same = DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text
        print("docs/published.md is up to date" if same else f"docs/published.md is not what `{COMMAND}` writes")
        return 0 if same and agree else 1
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
