"""Fill the README with its example files and the real output of its commands; `--check` says what has changed.

`<!-- file: PATH -->` stands before a block that holds a file, `<!-- run: COMMAND -->` before one that holds a command
and what it prints. A check compares outputs with numbers and spacing left out: timings differ, words must not.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- (file|run): (.+?) -->\n```(\w*)\n(.*?)```\n", re.DOTALL)
WIDTH = "110"
PROBLEM = "import numpy as np; np.save('p.npy', [.5, .3, .2]); np.save('q.npy', [.2, .2, .6])"


def output_of(command: str, folder: Path) -> str:
    """Return a command and what it prints, run where the examples are."""
    words = shlex.split(command)
    assert words[0] == "spectest", words
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": WIDTH},
    )
    printed = "\n".join(line.rstrip() for line in (done.stdout + done.stderr).strip("\n").splitlines())
    return f"$ {command}\n{printed}\n"


def filled(text: str, folder: Path) -> str:
    """Return the README with every block made anew."""

    def block(match: re.Match[str]) -> str:
        kind, what, language, _ = match.groups()
        body = (ROOT / what).read_text() if kind == "file" else output_of(what, folder)
        return f"<!-- {kind}: {what} -->\n```{language}\n{body}```\n"

    return BLOCK.sub(block, text)


def words(block: str) -> str:
    """Return a block without numbers, rules and spacing."""
    return " ".join(re.sub(r"[-+−]?\d[\d,.]*(e[-+]?\d+)?%?|\b[0-9a-f]{10}\b|[─–]", " ", block).split())


def main() -> int:
    """Fill or check."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "examples").symlink_to(ROOT / "examples")
        subprocess.run([sys.executable, "-c", PROBLEM], cwd=folder, check=True)
        new = filled(text, folder)
    if "--check" not in sys.argv[1:]:
        README.write_text(new)
        return 0
    old_blocks, new_blocks = BLOCK.findall(text), BLOCK.findall(new)
    wrong = [
        what
        for (kind, what, _, old), (_, _, _, fresh) in zip(old_blocks, new_blocks, strict=True)
        if (old != fresh if kind == "file" else words(old) != words(fresh))
    ]
    for what in wrong:
        print(f"the README's block of `{what}` is not what it is now: run scripts/readme.py")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
