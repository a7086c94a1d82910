"""What numpy and torch name differently, so that a plan written once runs on arrays of either, CUDA included.

Everything else such a plan uses (`where`, `cumsum`, `amin`, `argsort`, ...) is called the same way in both libraries.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

#: An array of numpy or of torch; torch is never imported for arrays of numpy.
Array = Any


def library(array: Array) -> Any:  # noqa: ANN401 (a module: numpy, or torch)
    """Return the library `array` belongs to."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def take(array: Array, index: Array) -> Array:
    """Return array[..., index] along the last axis, row by row."""
    if isinstance(array, np.ndarray):
        return np.take_along_axis(array, index, -1)
    return array.gather(-1, index)


def put(array: Array, index: Array, values: Array) -> Array:
    """Write `values` to array[..., index] along the last axis, row by row; return `array`."""
    if isinstance(array, np.ndarray):
        np.put_along_axis(array, index, values, -1)
        return array
    return array.scatter_(-1, index, values)


def positions(array: Array) -> Array:
    """Return 0, 1, ... along the last axis, on the device of `array`; broadcast to its shape."""
    size = array.shape[-1]
    if isinstance(array, np.ndarray):
        return np.broadcast_to(np.arange(size), array.shape)
    return library(array).arange(size, device=array.device).expand(array.shape)


def add(array: Array, index: Array, values: Array) -> Array:
    """Return `array` with `values` added to array[..., index] along the last axis, repeated indices adding up.

    Args:
        array: (..., V), or (..., n, V); written to.
        index: (..., K), the same for all n.
        values: (..., K), or (..., n, K).
    """
    if index.ndim < values.ndim:
        index = index[..., None, :]
    if not isinstance(array, np.ndarray):
        return array.scatter_add_(-1, index.expand(values.shape), values)
    rows = array.reshape(-1, array.shape[-1])
    where = np.broadcast_to(index, values.shape).reshape(len(rows), -1)
    np.add.at(rows, (np.arange(len(rows))[:, None], where), values.reshape(len(rows), -1))
    return rows.reshape(array.shape)
