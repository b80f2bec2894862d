"""``fastcam::binarize``, from maps to packed masks (Eq. 3, 6); and packing and unpacking masks, one bit a pixel.

``binarize`` is what happens on a GPU on the way to boxes. It waits for nothing, so it can be captured in a CUDA graph,
as ``fastcam::cam`` before it can; both must have run once before on the same shapes, which compiles the kernels and
uploads the positions of the resize.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from fastcam.ops.arguments import check_maps, check_size_of
from fastcam.ops.gpu import kernels_run_on
from fastcam.ops.options import SCHEMA, protocol_of
from fastcam.ops.tags import TAGS
from fastcam.ops.trees import stable_levels
from fastcam.reference import masks as reference

__all__ = ["binarize", "pack", "unpack"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define(
    f"binarize(Tensor maps, int height, int width, {SCHEMA}, bool with_maps)"
    " -> (Tensor packed, Tensor thresholds, Tensor maps)",
    tags=TAGS,
)

_Masks = tuple[Tensor, Tensor, Tensor]
# Pixels of full-size maps that are worked on together, so that memory does not grow with the number of maps: on a CPU
# what its cache holds, elsewhere what keeps the device busy.
_PIXELS_ON_CPU: Final = 1 << 18
_PIXELS_ELSEWHERE: Final = 1 << 22


def _empty(maps: Tensor, height: int, width: int, *options: Any) -> _Masks:  # noqa: ANN401
    """Bits (N, H, ceil(W / 64)) int64, thresholds (N,), and the maps (N or 0, H, W)."""
    check_maps(maps)
    *values, with_maps = options
    check_size_of(protocol_of(*values), height, width)
    n = maps.shape[0]
    work = reference.working_dtype(maps.dtype)
    full = torch.uint8 if protocol_of(*values).quantize else work
    return (
        maps.new_empty((n, height, (width + 63) // 64), dtype=torch.int64),
        maps.new_empty(n, dtype=work),
        maps.new_empty((n if with_maps else 0, height, width), dtype=full),
    )


def _any_device(maps: Tensor, height: int, width: int, *options: Any) -> _Masks:  # noqa: ANN401
    check_maps(maps)
    *values, with_maps = options
    out = packed, thresholds, full = _empty(maps, height, width, *options)
    pixels = _PIXELS_ON_CPU if maps.device.type == "cpu" else _PIXELS_ELSEWHERE
    together = max(1, pixels // (height * width))
    for first in range(0, len(maps), together):
        some = slice(first, first + together)
        some_full, thresholds[some], masks = reference.kept(
            maps[some], (height, width), protocol_of(*values), stable_levels
        )
        packed[some] = pack(masks)
        if with_maps:
            full[some] = some_full
    return out


def _cuda(maps: Tensor, height: int, width: int, *options: Any) -> _Masks:  # noqa: ANN401
    protocol = protocol_of(*options[:-1])
    # The kernels' offsets in a map, and in its rows resized along the width and padded to words, have 32 bits.
    wide = maps.dtype == torch.float64 or max(height, maps.shape[1]) * (width + 63) >= 2**31
    # What the kernels do not know.
    wide |= isinstance(protocol.threshold, str) or protocol.normalize in ("pas", "ivr")
    if maps.numel() == 0 or wide or not kernels_run_on(maps.device):
        return _any_device(maps, height, width, *options)
    from fastcam.kernels import masks as kernel

    *values, with_maps = options
    out = packed, thresholds, full = _empty(maps, height, width, *options)
    kernel.binarize(
        maps.to(torch.float32).contiguous(),
        (height, width),
        protocol_of(*values),
        packed=packed,
        thresholds=thresholds,
        maps=full if with_maps else None,
    )
    return out


torch.library.register_fake("fastcam::binarize", _empty)
_library.impl("binarize", _any_device, "CompositeExplicitAutograd")
_library.impl("binarize", _cuda, "CUDA")
binarize = torch.ops.fastcam.binarize.default


def pack(masks: Tensor) -> Tensor:
    """Pack masks (..., W), set where not zero, into words (..., ceil(W / 64)) int64."""
    width = masks.shape[-1]
    bits = torch.nn.functional.pad(masks != 0, (0, -width % 64)).to(torch.uint8).unflatten(-1, (-1, 8))
    octets: Tensor = (bits * _bit_values(masks.device)).sum(dim=-1, dtype=torch.uint8)
    return octets.contiguous().view(torch.int64)


def unpack(words: Tensor, width: int) -> Tensor:
    """The inverse of :func:`pack`: (..., width) bool."""
    octets = words.contiguous().view(torch.uint8)
    bits: Tensor = (octets[..., None] & _bit_values(words.device)) != 0
    unpacked: Tensor = bits.flatten(-2)[..., :width]
    return unpacked


def _bit_values(device: torch.device) -> Tensor:
    # Computed there: a table from the host would be waited for, and cannot be captured in a graph.
    return torch.ones(8, dtype=torch.uint8, device=device) << torch.arange(8, dtype=torch.uint8, device=device)
