"""Array-likes as tensors: the one place that knows what NumPy, lists and tensors of other layouts may look like."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

__all__ = ["ArrayLike", "as_dense", "as_tensor"]

ArrayLike = Tensor | npt.ArrayLike
"""A tensor; a NumPy array or scalar; what NumPy can read; or a list of these, of equal shapes."""

_OF_NUMPY = {
    np.dtype(name) for name in ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
} | {np.dtype(name) for name in ("float16", "float32", "float64", "complex64", "complex128")}


def as_tensor(name: str, value: ArrayLike, wanted: str = "a tensor or an array") -> Tensor:
    """Return what a user handed in as a dense tensor with values.

    A tensor is returned as it is, on its device and with its gradient. A NumPy array shares its memory where torch can
    read it, and is copied where torch cannot: negative strides, another byte order, memory that is read-only. Long
    doubles become float64. Numbers in lists are read as NumPy reads them: float64 and int64.

    Args:
        name: the argument's name, for errors.
        value: a tensor, a NumPy array or scalar, anything with ``__array__`` or ``__dlpack__``, or a list of these.
        wanted: what the argument must be, for errors.

    Returns:
        The tensor, of any shape and dtype: both are for the caller to check.

    Raises:
        TypeError: a sparse, nested, meta, mkldnn or quantized tensor, a masked array that hides an entry, a bare
            Python number, or something that is no array of numbers.
        ValueError: a list whose entries differ in shape.

    Example:
        >>> import numpy as np
        >>> as_tensor("maps", np.arange(3, dtype=">i4")[::-1])
        tensor([2, 1, 0], dtype=torch.int32)
        >>> as_tensor("maps", [np.float32(1), 2.5])
        tensor([1.0000, 2.5000], dtype=torch.float64)
    """
    if isinstance(value, Tensor):
        return as_dense(name, value)
    if isinstance(value, (list, tuple)):
        return _of_list(name, value, wanted)
    if isinstance(value, (np.ndarray, np.generic)):
        return _of_numpy(name, value, wanted)
    if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
        # What cannot be shared, such as memory that is read-only, may still be copied by NumPy below.
        with contextlib.suppress(TypeError, ValueError, RuntimeError, BufferError):
            return as_dense(name, from_dlpack(value))
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{name} must be {wanted}, got {type(value).__name__}: {error}") from error
        return _of_numpy(name, array, wanted)
    raise TypeError(f"{name} must be {wanted}, got {type(value).__name__}")


def as_dense(name: str, tensor: Tensor) -> Tensor:
    """Return the tensor, which must be dense and hold values.

    Raises:
        TypeError: a sparse, nested, meta, mkldnn or quantized tensor.

    Example:
        >>> as_dense("maps", torch.eye(2).to_sparse())
        Traceback (most recent call last):
        TypeError: maps must be a dense tensor, got a sparse one (torch.sparse_coo): call .to_dense()
    """
    if tensor.is_nested:
        raise TypeError(
            f"{name} must be a dense tensor, got a nested one: call .to_padded_tensor(value), or give its parts singly"
        )
    if tensor.is_mkldnn:
        raise TypeError(f"{name} must be a dense tensor, got one in mkldnn's layout: call .to_dense()")
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got a sparse one ({tensor.layout}): call .to_dense()")
    if tensor.is_meta:
        raise TypeError(f"{name} must hold values, got a tensor on the meta device, which has none")
    if tensor.is_quantized:
        raise TypeError(f"{name} must hold plain values, got a quantized tensor ({tensor.dtype}): call .dequantize()")
    return tensor


def _of_numpy(name: str, value: Any, wanted: str) -> Tensor:  # noqa: ANN401
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        hidden = int(np.ma.getmaskarray(value).sum())
        raise TypeError(
            f"{name} must hold a value everywhere, got a masked array that hides {hidden} of {value.size} entries: "
            "call .filled(value)"
        )
    array = np.asarray(value)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    native = array.dtype.newbyteorder("=")
    if native not in _OF_NUMPY:
        raise TypeError(f"{name} must be {wanted}, got an array of {array.dtype}")
    # torch has no negative strides and no fractions of an element, and warns of memory that cannot be written to.
    readable = array.flags.writeable and all(step >= 0 and step % array.itemsize == 0 for step in array.strides)
    return torch.from_numpy(array if readable and array.dtype == native else array.astype(native))


def _of_list(name: str, value: list[Any] | tuple[Any, ...], wanted: str) -> Tensor:
    if not _holds_arrays(value):
        try:
            return _of_numpy(name, np.asarray(value), wanted)
        except ValueError as error:
            raise ValueError(f"{name} must be {wanted}, got lists of different lengths") from error
    parts = [as_tensor(f"{name}[{i}]", _number(one), wanted) for i, one in enumerate(value)]
    shapes = {tuple(part.shape) for part in parts}
    if len(shapes) > 1:
        raise ValueError(f"{name} must be {wanted}, got a list of shapes {', '.join(map(str, sorted(shapes)))}")
    dtype = parts[0].dtype
    for part in parts[1:]:
        dtype = torch.promote_types(dtype, part.dtype)
    return torch.stack([part.to(parts[0].device, dtype) for part in parts])


def _number(one: Any) -> Any:  # noqa: ANN401
    """Return a number that stands in a list as NumPy has it."""
    return np.asarray(one) if isinstance(one, (bool, int, float)) else one


def _holds_arrays(value: Any) -> bool:  # noqa: ANN401
    """Whether lists hold anything but numbers and lists of them."""
    if isinstance(value, (list, tuple)):
        return any(map(_holds_arrays, value))
    return any(hasattr(value, way) for way in ("__array__", "__array_interface__", "__dlpack__"))
