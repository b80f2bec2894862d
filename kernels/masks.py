"""From small maps to packed masks (Eq. 3, 6): resized on the fly, exact percentile, one bit a pixel.

No full-size map is made unless it is asked for. Three launches: the rows of the small maps are resized along the width;
one program a map finds its threshold; many programs a map compare its pixels with that, eight to a thread, whose bits
are a byte. Where there are several, their counts and boxes are put together by a fourth.
"""

from __future__ import annotations

import math
import struct
from typing import Final

import torch
import triton
import triton.language as tl
from fastcam.kernels.launch import on_device_of, power_of_two
from fastcam.kernels.resize import CELLS, axis_on, resized, segments_on, widen
from fastcam.kernels.threshold import level, scaled, select
from torch import Tensor

__all__ = ["binarize"]

_NORMALIZE: Final = {"none": 0, "minmax": 1, "max": 2, "percentile": 3}
_PROGRAMS: Final = 1024  # which fill a GPU, and leave none of its multiprocessors much longer at work than others
_FAR = tl.constexpr(1 << 30)


@triton.jit(do_not_specialize=["h", "height", "width", "length", "tiles", "each", "blocks"])
def _mask(
    rows, first, factors, cutoffs, normals, packed, partials, maps,
    h, height, width, stride, length, tiles, each, blocks,
    TAPS: tl.constexpr, NORMALIZE: tl.constexpr, QUANTIZE: tl.constexpr, MAPS: tl.constexpr,
    Y: tl.constexpr, X: tl.constexpr,
):  # fmt: skip
    """Some tiles of one map: what exceeds the cutoff, in bits, and its count and half-open box."""
    pid = tl.program_id(0).to(tl.int64)
    n = pid // blocks
    block = (pid % blocks).to(tl.int32)
    cutoff = tl.load(cutoffs + n)
    rows += n * h * stride
    packed += n * height * (stride // 8)
    if MAPS and (QUANTIZE or NORMALIZE != 0):
        offset = tl.load(normals + n * 4)
        span = tl.load(normals + n * 4 + 1)
        low = tl.load(normals + n * 4 + 2)
        high = tl.load(normals + n * 4 + 3)
    # The eight pixels of a byte are two vectors of a thread.
    bit = tl.arange(0, 2)[:, None, None, None] * 4 + tl.arange(0, 4)[None, None, None, :]
    weight = (127 + bit << 23).to(tl.float32, bitcast=True) + 4096.0
    byte = tl.arange(0, X // 8)
    count = tl.zeros((Y, X // 8), tl.int32)
    left = tl.full((Y, X // 8), _FAR, tl.int32)
    right = tl.zeros((Y, X // 8), tl.int32)
    top = tl.full((Y, X // 8), _FAR, tl.int32)
    bottom = tl.zeros((Y, X // 8), tl.int32)
    for tile in range(block * each, tl.minimum(block * each + each, tiles)):
        y = tile // (stride // X) * Y + tl.arange(0, Y)
        start = tile % (stride // X) * X
        x = start + byte[None, None, :, None] * 8 + bit
        v = resized(rows, stride, x, first, factors, h - 1, length, y[None, :, None, None], TAPS)
        # Both the bits and, above them, their number, of which neither is ever rounded.
        found = tl.sum(tl.sum(tl.where(v > cutoff, weight, 0.0), 3), 0).to(tl.int32)
        bits = found & 255
        tl.store(packed + y[:, None] * (stride // 8) + start // 8 + byte[None, :], bits.to(tl.uint8),
                 mask=(y < height)[:, None])  # fmt: skip
        count += found >> 12
        # A float's exponent is the number of its highest bit.
        lowest = ((bits & -bits).to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
        highest = (bits.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 126
        begin = start + byte[None, :] * 8
        left = tl.where(bits != 0, tl.minimum(left, begin + lowest), left)
        right = tl.where(bits != 0, tl.maximum(right, begin + highest), right)
        top = tl.where(bits != 0, tl.minimum(top, y[:, None]), top)
        bottom = tl.where(bits != 0, tl.maximum(bottom, y[:, None] + 1), bottom)
        if MAPS:
            y = y[None, :, None, None]
            at = maps + (n * height + y) * width + x
            inside = (y < height) & (x < width)
            if QUANTIZE:
                tl.store(at, tl.where(v == v, level(v, offset, span, low, high), 0).to(tl.uint8), mask=inside)
            elif NORMALIZE == 0:
                tl.store(at, v, mask=inside)
            else:
                tl.store(at, scaled(v, offset, span, low, high).to(tl.float32), mask=inside)
    _store_extent(partials + pid * 5, tl.sum(count), tl.min(left), tl.min(top), tl.max(right), tl.max(bottom))


@triton.jit
def _store_extent(to, count, left, top, right, bottom):
    tl.store(to, count)
    tl.store(to + 1, tl.where(count > 0, left, 0))
    tl.store(to + 2, tl.where(count > 0, top, 0))
    tl.store(to + 3, right)
    tl.store(to + 4, bottom)


@triton.jit(do_not_specialize=["blocks"])
def _join(partials, extents, blocks, BLOCKS: tl.constexpr):
    """The count and the box of one map from those of its parts."""
    n = tl.program_id(0).to(tl.int64)
    part = tl.arange(0, BLOCKS)
    p = partials + (n * blocks + part) * 5
    there = part < blocks
    count = tl.load(p, mask=there, other=0)
    some = count > 0
    left = tl.min(tl.load(p + 1, mask=some, other=_FAR))
    top = tl.min(tl.load(p + 2, mask=some, other=_FAR))
    right = tl.max(tl.load(p + 3, mask=some, other=0))
    bottom = tl.max(tl.load(p + 4, mask=some, other=0))
    _store_extent(extents + n * 5, tl.sum(count), left, top, right, bottom)


def binarize(
    small: Tensor,
    size: tuple[int, int],
    *,
    interpolation: str,
    normalize: str,
    quantize: bool,
    q: float,
    threshold: float,
    packed: Tensor,
    thresholds: Tensor,
    extents: Tensor,
    maps: Tensor | None,
) -> None:
    """Resize ``small`` (N, h, w) float32, contiguous, to ``size`` and write what the threshold keeps.

    ``packed`` (N, H, ceil(W / 64)) int64; ``thresholds`` (N,) float32; ``extents`` (N, 5) int32, the count of kept
    pixels and their half-open box x0, y0, x1, y1; ``maps`` (N, H, W) float32 or uint8 levels, or None.
    """
    n, h, w = small.shape
    height, width = size
    taps = 1 if (h, w) == size else 2 if interpolation == "bilinear" else 4
    stride = -(-width // 64) * 64
    across, along = (axis_on(small.device, *axis, taps) for axis in ((w, width), (h, height)))
    rows = small.new_empty((n, h, stride))
    cutoffs, normals = small.new_empty(n), small.new_empty((n, 4), dtype=torch.float64)
    k, factor, upper = rank(height * width, q)
    narrow = 128 if stride % 128 == 0 else 64
    # Segments are searched where there are more pixels than those.
    lengths, factors, steps = segments_on(small.device, h, height) if taps == 2 and height > h else (*along, 0)
    lines = CELLS if steps else 4096 // narrow
    wide = next(x for x in (256, 128, 64) if stride % x == 0)
    high = (4096 if maps is None else 2048) // wide
    tiles = -(-height // high) * (stride // wide)
    each = -(-tiles // max(1, min(tiles, _PROGRAMS // n)))
    blocks = -(-tiles // each)
    partials = extents if blocks == 1 else extents.new_empty((n, blocks, 5))
    with on_device_of(small):
        widen[(n * h * (stride // wide),)](
            small, *across, rows, w, stride, TAPS=taps, X=wide, num_warps=2, enable_fp_fusion=False
        )
        select[(n,)](
            rows,
            lengths,
            factors,
            thresholds,
            cutoffs,
            normals,
            h,
            stride,
            len(along.first),
            -(-(h if steps else height) // lines) * (stride // narrow),
            height * width,
            k,
            bits_of(factor),
            bits_of(threshold),
            TAPS=taps,
            STEPS=steps,
            NORMALIZE=_NORMALIZE[normalize],
            QUANTIZE=quantize,
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
            partials,
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
            NORMALIZE=_NORMALIZE[normalize],
            QUANTIZE=quantize,
            MAPS=maps is not None,
            Y=high,
            X=wide,
            num_warps=8,
            enable_fp_fusion=False,
        )
        if blocks > 1:
            _join[(n,)](partials, extents, blocks, BLOCKS=power_of_two(blocks), num_warps=4)


def rank(count: int, q: float) -> tuple[int, float, bool]:
    """Which order statistic a percentile lies above, how far from the nearer one, and whether that is the upper."""
    virtual = (count - 1) * (q / 100)
    k = min(math.floor(virtual), count - 1)
    gamma = virtual - k
    return (k, gamma, False) if gamma < 0.5 else (k, 1 - gamma, True)


def bits_of(number: float) -> int:
    """A number as the integer with its bits: Triton would pass it as a float32."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])
