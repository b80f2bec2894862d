"""From small maps to packed masks (Eq. 3, 6): resized on the fly, exact percentile, one bit a pixel.

No full-size map is made unless it is asked for. Three launches: the rows of the small maps are resized along the width;
one program a map finds its threshold (many, in more launches, where maps are few and large); many programs a map
compare the pixels with it, a thread eight of them, whose bits make a byte.
"""

from __future__ import annotations

import functools
import struct
from typing import Final

import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import on_device_of
from fastcam.kernels.normalization import level, scaled
from fastcam.kernels.percentile import find_threshold, rank
from fastcam.kernels.percentile_split import find_threshold_split, programs_of_a_map
from fastcam.kernels.resize import CELLS, axis_on, resized, segments_on, widen
from torch import Tensor

from fastcam.protocol import Protocol

__all__ = ["binarize"]

# Enough to fill a GPU, so that no multiprocessor works much longer than the others.
_PROGRAMS: Final = 1024


@triton.jit(do_not_specialize=["h", "height", "width", "length", "tiles", "each", "blocks"])
def _mask(
    rows, first, factors, cutoffs, normals, packed, maps,
    h, height, width, stride, length, tiles, each, blocks,
    TAPS: tl.constexpr, NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, MAPS: tl.constexpr,
    Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Compare some tiles of one map with its cutoff: a bit a pixel, and with MAPS the values too."""
    pid = tl.program_id(0).to(tl.int64)
    n = pid // blocks
    block = (pid % blocks).to(tl.int32)
    cutoff = tl.load(cutoffs + n)
    rows += n * h * stride
    packed += n * height * (stride // 8)
    if MAPS and (QUANTIZE or NORMALIZE != "none"):
        offset = tl.load(normals + n * 4)
        span = tl.load(normals + n * 4 + 1)
        low = tl.load(normals + n * 4 + 2)
        high = tl.load(normals + n * 4 + 3)
    # A thread has a byte, whose eight pixels are two vectors.
    thread = tl.arange(0, Y * (X // 8))
    vector = tl.arange(0, 4)[None, :]
    weight = (127 + vector << 23).to(tl.float32, bitcast=True)  # 2^vector
    for tile in range(block * each, tl.minimum(block * each + each, tiles)):
        y = tile // (stride // X) * Y + thread // (X // 8)
        byte = tile % (stride // X) * (X // 8) + thread % (X // 8)
        bits = tl.zeros((Y * (X // 8),), tl.float32)
        for half in tl.static_range(2):
            x = byte[:, None] * 8 + (half * 4 + vector)
            v = resized(rows, stride, x, first, factors, h - 1, length, y[:, None], TAPS)
            # Sums of different powers of two are exact.
            bits += tl.sum(tl.where(v > cutoff, weight * (16.0 if half else 1.0), 0.0), 1)
            if MAPS:
                at = maps + (n * height + y[:, None]) * width + x
                inside = (y < height)[:, None] & (x < width)
                if QUANTIZE:
                    tl.store(at, tl.where(v == v, level(v, offset, span, low, high), 0).to(tl.uint8), mask=inside)
                elif NORMALIZE == "none":
                    tl.store(at, v, mask=inside)
                else:
                    tl.store(at, scaled(v, offset, span, low, high).to(tl.float32), mask=inside)
        tl.store(packed + y * (stride // 8) + byte, bits.to(tl.int32).to(tl.uint8), mask=y < height)


def binarize(
    small: Tensor,
    size: tuple[int, int],
    protocol: Protocol,
    *,
    packed: Tensor,
    thresholds: Tensor,
    maps: Tensor | None,
) -> None:
    """Resize ``small`` (N, h, w) float32, contiguous, to ``size`` and write what the threshold keeps.

    ``packed`` (N, H, ceil(W / 64)) int64; ``thresholds`` (N,) float32; ``maps`` (N, H, W) float32 or uint8 levels, or
    None. Of the protocol, interpolation, normalization, levels, percentile and threshold are read.
    """
    n, h, w = small.shape
    height, width = size
    taps = 1 if (h, w) == size else 2 if protocol.interpolation == "bilinear" else 4
    stride = -(-width // 64) * 64
    across, along = (axis_on(small.device, *axis, taps) for axis in ((w, width), (h, height)))
    rows = small.new_empty((n, h, stride))
    cutoffs, normals = small.new_empty(n), small.new_empty((n, 4), dtype=torch.float64)
    k, factor, upper = rank(height * width, protocol.percentile)
    narrow = 128 if stride % 128 == 0 else 64
    # Enlarging along the height gives segments of several pixels, which are searched and not counted one by one.
    lengths, factors, steps = segments_on(small.device, h, height) if taps == 2 and height > h else (*along, 0)
    lines = CELLS if steps else 4096 // narrow
    slices = -(-(h if steps else height) // lines) * (stride // narrow)
    parts = programs_of_a_map(n, slices)
    wide = next(x for x in (256, 128, 64) if stride % x == 0)
    high = (4096 if maps is None else 2048) // wide
    tiles = -(-height // high) * (stride // wide)
    each = -(-tiles // max(1, min(tiles, _PROGRAMS // n)))
    blocks = -(-tiles // each)
    with on_device_of(small):
        widen[(n * h * (stride // wide),)](
            small, *across, rows, w, stride, TAPS=taps, X=wide, num_warps=2, enable_fp_fusion=False
        )
        search = find_threshold[(n,)] if parts == 1 else functools.partial(find_threshold_split, parts)
        search(
            rows,
            lengths,
            factors,
            thresholds,
            cutoffs,
            normals,
            h,
            stride,
            len(along.first),
            slices,
            height * width,
            k,
            bits_of(factor),
            bits_of(protocol.threshold),
            TAPS=taps,
            STEPS=steps,
            NORMALIZE=protocol.normalize,
            QUANTIZE=protocol.quantize,
            UPPER=upper,
            R=lines * narrow // 1024,
            Y=1024 // narrow,
            X=narrow,
            num_warps=8,
            maxnreg=128,
            enable_fp_fusion=False,
        )
        _mask[(n * blocks,)](
            rows,
            *along,
            cutoffs,
            normals,
            packed.view(torch.uint8),
            maps,
            h,
            height,
            width,
            stride,
            len(along.first),
            tiles,
            each,
            blocks,
            TAPS=taps,
            NORMALIZE=protocol.normalize,
            QUANTIZE=protocol.quantize,
            MAPS=maps is not None,
            Y=high,
            X=wide,
            num_warps=8,
            enable_fp_fusion=False,
        )


def bits_of(number: float) -> int:
    """The bits of a float64 as an integer: Triton would pass the number as a float32."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])
