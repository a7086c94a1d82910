"""Adapters: third-party implementations as selectors, one file each, listed here.

An adapter is an ordinary selector module: `spectest verify spectest.adapters.transformers:speculative_sampling`. Its
package is an extra of spectest; without it the import says which.
"""

from __future__ import annotations

from typing import Final

#: The registry: name -> address. Adding an adapter is a file here and a line.
ADAPTERS: Final[dict[str, str]] = {
    "transformers": "spectest.adapters.transformers:speculative_sampling",
}
