"""Arrays and generators of the two kinds of selectors, torch and numpy."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from spectest.engine.faults import BadOutput
from spectest.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spectest.declaration import Declaration

#: An id that no vocabulary has: reading one outside the rows handed over raises, or shows.
_POISON_ID: Final = 2**62
#: Buffers of one size that are left behind: small ones are asked for more often.
_COPIES: Final = 4
_SMALL: Final = 2**20


class Backend(Protocol):
    """Turns numpy arrays into a selector's own kind and back."""

    def probabilities(self, values: NDArray[np.float64]) -> Any:
        """Return contiguous probabilities in the declared dtype, on the declared device."""
        ...

    def expand(self, values: NDArray[np.float64], rows: int) -> Any:
        """Return `values` seen `rows` times along a new first axis of stride 0."""
        ...

    def integers(self, values: NDArray[np.int64]) -> Any:
        """Return a fresh contiguous int64 array."""
        ...

    def uniforms(self, values: NDArray[np.float64]) -> Any:
        """Return a fresh contiguous float64 array."""
        ...

    def generator(self, seed: int) -> Any:
        """Return a seeded generator of the kind the selector is promised."""
        ...

    def seed_globals(self, seed: int) -> None:
        """Seed every global generator."""
        ...

    def take(self, values: Any, index: NDArray[np.int64]) -> Any:
        """Return the rows `index` of `values`, contiguous."""
        ...

    def overwrite(self, buffer: Any, values: Any) -> None:
        """Copy `values` into `buffer`, in place."""
        ...

    def embed(self, values: Any) -> Any:
        """Return `values` as a contiguous part of a larger array: NaN, or ids far out of range, before and after."""
        ...

    def share(self, values: Any) -> Any:
        """Return (B, n, V) laws, equal along n, with stride 0 there."""
        ...

    def litter(self, sizes: Sequence[int], byte: int) -> None:
        """Allocate some memory of each of these sizes, in bytes, fill it with `byte` and free it all."""
        ...

    def version(self, values: Any) -> int:
        """Return a counter that grows with every in-place write the library knows of (0 where it keeps none)."""
        ...

    def same(self, left: Any, right: Any) -> bool:
        """Return whether two arrays hold equal values."""
        ...

    def tokens(self, output: Any, *shape: int) -> NDArray[np.int64]:
        """Validate a batched output, int64 of `shape` on the device; return it on the host.

        Raises:
            BadOutput: anything else came back.
        """
        ...

    def usable(self) -> bool:
        """Return whether the device still works: after a failed kernel a process gets nothing but errors from CUDA."""
        ...


class NumpyBackend:
    """numpy arrays and a `numpy.random.Generator`."""

    def __init__(self, declaration: Declaration) -> None:
        self._dtype = np.dtype(declaration.dtype)

    def probabilities(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """See `Backend`."""
        return np.array(values, dtype=self._dtype, order="C")

    def expand(self, values: NDArray[np.float64], rows: int) -> NDArray[Any]:
        """See `Backend`. A broadcast view is read-only."""
        row = values[:1] if values.ndim > 1 else values  # equal draft rows are one row, seen n times
        small = np.ascontiguousarray(row if (values == row).all() else values, dtype=self._dtype)
        return np.broadcast_to(small, (rows, *values.shape))

    def integers(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """See `Backend`."""
        return np.array(values, dtype=np.int64, order="C")

    def uniforms(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Backend`."""
        return np.array(values, order="C")

    def generator(self, seed: int) -> np.random.Generator:
        """See `Backend`."""
        return np.random.default_rng(seed)

    def seed_globals(self, seed: int) -> None:
        """See `Backend`."""
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the selector under test uses it)

    def take(self, values: NDArray[Any], index: NDArray[np.int64]) -> NDArray[Any]:
        """See `Backend`."""
        return values[index]

    def overwrite(self, buffer: NDArray[Any], values: NDArray[Any]) -> None:
        """See `Backend`."""
        buffer[...] = values

    def embed(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Backend`."""
        margin = _margin(values.shape)
        whole = np.full(values.size + 2 * margin, _POISON_ID if values.dtype.kind == "i" else np.nan, values.dtype)
        part = whole[margin:-margin].reshape(values.shape)
        part[...] = values
        return part

    def share(self, values: NDArray[Any]) -> NDArray[Any]:
        """See `Backend`. A broadcast view is read-only."""
        return np.broadcast_to(values[..., :1, :].copy(), values.shape)

    def litter(self, sizes: Sequence[int], byte: int) -> None:
        """See `Backend`."""
        held = [np.full(size, byte, dtype=np.uint8) for size in sizes for _ in range(_copies(size))]
        del held

    def version(self, values: NDArray[Any]) -> int:
        """See `Backend`."""
        del values
        return 0

    def same(self, left: NDArray[Any], right: NDArray[Any]) -> bool:
        """See `Backend`."""
        return bool(np.array_equal(left, right))

    def tokens(self, output: object, *shape: int) -> NDArray[np.int64]:
        """See `Backend`."""
        if not isinstance(output, np.ndarray):
            msg = f"it must return a numpy array of shape {shape}, got {_describe(output)}"
            raise BadOutput(msg)
        if output.shape != shape or output.dtype != np.int64:
            msg = f"it must return int64 of shape {shape}, got {output.dtype} of shape {output.shape}"
            raise BadOutput(msg)
        return np.array(output)

    def usable(self) -> bool:
        """See `Backend`."""
        return True


class TorchBackend:
    """torch tensors on a device and a `torch.Generator` there."""

    def __init__(self, declaration: Declaration) -> None:
        import torch  # noqa: PLC0415 (torch only where a selector needs it)

        self._torch = torch
        self._dtype = getattr(torch, declaration.dtype)
        try:
            self._device = torch.device(declaration.device)
            torch.empty(0, device=self._device)
        except Exception as error:
            msg = f"device {declaration.device!r} cannot be used here: {str(error).strip().splitlines()[0]}"
            raise UsageError(msg) from error

    def probabilities(self, values: NDArray[np.float64]) -> Any:
        """See `Backend`."""
        tensor = self._torch.from_numpy(np.array(values, order="C"))
        return tensor.to(device=self._device, dtype=self._dtype)

    def expand(self, values: NDArray[np.float64], rows: int) -> Any:
        """See `Backend`."""
        row = values[:1] if values.ndim > 1 else values  # equal draft rows are one row, seen n times
        small = self.probabilities(row if (values == row).all() else values)
        return small.expand(rows, *values.shape)

    def integers(self, values: NDArray[np.int64]) -> Any:
        """See `Backend`."""
        return self._torch.from_numpy(np.array(values, dtype=np.int64, order="C")).to(self._device)

    def uniforms(self, values: NDArray[np.float64]) -> Any:
        """See `Backend`."""
        return self._torch.from_numpy(np.array(values, order="C")).to(self._device)

    def generator(self, seed: int) -> Any:
        """See `Backend`."""
        return self._torch.Generator(device=self._device).manual_seed(seed)

    def seed_globals(self, seed: int) -> None:
        """See `Backend`."""
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the selector under test may use it)
        self._torch.manual_seed(seed)

    def take(self, values: Any, index: NDArray[np.int64]) -> Any:
        """See `Backend`."""
        return values.index_select(0, self._torch.from_numpy(index).to(self._device))

    def overwrite(self, buffer: Any, values: Any) -> None:
        """See `Backend`."""
        buffer.copy_(values)

    def embed(self, values: Any) -> Any:
        """See `Backend`."""
        margin = _margin(tuple(values.shape))
        fill = float("nan") if values.is_floating_point() else _POISON_ID
        whole = self._torch.full((values.numel() + 2 * margin,), fill, dtype=values.dtype, device=self._device)
        part = whole[margin:-margin].view(values.shape)
        part.copy_(values)
        return part

    def share(self, values: Any) -> Any:
        """See `Backend`."""
        return values[..., :1, :].clone().expand(values.shape)

    def litter(self, sizes: Sequence[int], byte: int) -> None:
        """See `Backend`."""
        held = [
            self._torch.full((size,), byte, dtype=self._torch.uint8, device=self._device)
            for size in sizes
            for _ in range(_copies(size))
        ]
        del held

    def version(self, values: Any) -> int:
        """See `Backend`."""
        return int(values._version)  # noqa: SLF001 (the public name for it does not exist)

    def same(self, left: Any, right: Any) -> bool:
        """See `Backend`."""
        return bool(self._torch.equal(left, right))

    def tokens(self, output: Any, *shape: int) -> NDArray[np.int64]:
        """See `Backend`."""
        if not isinstance(output, self._torch.Tensor):
            msg = f"it must return a torch tensor of shape {shape}, got {_describe(output)}"
            raise BadOutput(msg)
        if tuple(output.shape) != shape or output.dtype != self._torch.int64:
            got = f"{str(output.dtype).removeprefix('torch.')} of shape {tuple(output.shape)}"
            msg = f"it must return int64 of shape {shape}, got {got}"
            raise BadOutput(msg)
        if output.device.type != self._device.type:
            msg = f"it must return a tensor on {self._device.type}, got one on {output.device.type}"
            raise BadOutput(msg)
        return np.array(output.detach().cpu().numpy())

    def usable(self) -> bool:
        """See `Backend`."""
        if self._device.type != "cuda":
            return True
        try:
            self._torch.cuda.synchronize(self._device)
        except RuntimeError:
            return False
        return True


def _margin(shape: tuple[int, ...]) -> int:
    """Return how many elements of poison lie before and after an array: as many as its largest row has."""
    return max(1, int(np.prod(shape[1:] if len(shape) > 1 else shape)))


def _copies(size: int) -> int:
    return _COPIES if size <= _SMALL else 1


def _describe(output: object) -> str:
    return "nothing (None)" if output is None else f"an object of type {type(output).__name__}"


def backend_of(declaration: Declaration) -> Backend:
    """Return the backend a declaration asks for.

    Raises:
        UsageError: its device is not there.
    """
    return NumpyBackend(declaration) if declaration.array == "numpy" else TorchBackend(declaration)
