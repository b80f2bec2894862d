"""``fastcam::binarize``, from maps to packed masks (Eq. 3, 6): all of the way to boxes that happens on a GPU.

It waits for nothing, so it can be captured in a CUDA graph, as ``fastcam::cam`` before it can; both must have run once
before on the same shapes, which compiles the kernels and uploads the positions of the resize.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam import reference
from fastcam.ops.gpu import kernels_run_on
from fastcam.ops.regions import pack
from fastcam.protocol import Interpolation, Normalization

__all__ = ["binarize"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_library.define(
    "binarize(Tensor maps, int height, int width, str interpolation, str normalize, bool quantize, float percentile,"
    " float threshold, bool with_maps) -> (Tensor, Tensor, Tensor, Tensor)",
    tags=(torch.Tag.pt2_compliant_tag,),
)

_Masks = tuple[Tensor, Tensor, Tensor, Tensor]


def _empty(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: Interpolation,  # noqa: ARG001
    normalize: Normalization,  # noqa: ARG001
    quantize: bool,
    percentile: float,  # noqa: ARG001
    threshold: float,  # noqa: ARG001
    with_maps: bool,
) -> _Masks:
    """Bits (N, H, ceil(W / 64)) int64, thresholds (N,), extents (N, 5) int32, and the maps (N or 0, H, W).

    An extent is the count of kept pixels and the half-open box x0, y0, x1, y1 of them all, 0 where there is none.
    """
    n = maps.shape[0]
    return (
        maps.new_empty((n, height, (width + 63) // 64), dtype=torch.int64),
        maps.new_empty(n, dtype=torch.float32),
        maps.new_empty((n, 5), dtype=torch.int32),
        maps.new_empty((n if with_maps else 0, height, width), dtype=torch.uint8 if quantize else torch.float32),
    )


def _any_device(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: Interpolation,
    normalize: Normalization,
    quantize: bool,
    percentile: float,
    threshold: float,
    with_maps: bool,
) -> _Masks:
    full, thresholds, masks = reference.activation.kept(
        maps,
        (height, width),
        interpolation=interpolation,
        normalization=normalize,
        quantize=quantize,
        q=percentile,
        threshold=threshold,
    )
    sides = []
    for length, line in ((width, masks.any(dim=1)), (height, masks.any(dim=2))):
        at = torch.arange(length, device=maps.device)
        sides.append((torch.where(line, at, length).amin(dim=1), torch.where(line, at + 1, 0).amax(dim=1)))
    (x0, x1), (y0, y1) = sides
    extents = torch.stack((masks.sum(dim=(1, 2)), x0, y0, x1, y1), dim=1)
    extents = torch.where(extents[:, :1] > 0, extents, 0).to(torch.int32)
    return pack(masks), thresholds, extents, full if with_maps else full[:0].clone()


def _cuda(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: Interpolation,
    normalize: Normalization,
    quantize: bool,
    percentile: float,
    threshold: float,
    with_maps: bool,
) -> _Masks:
    options = interpolation, normalize, quantize, percentile, threshold, with_maps
    if len(maps) == 0 or height * width >= 2**31 or not kernels_run_on(maps.device):
        return _any_device(maps, height, width, *options)
    from fastcam.kernels import masks as kernel

    out = packed, thresholds, extents, full = _empty(maps, height, width, *options)
    kernel.binarize(
        maps.to(torch.float32).contiguous(),
        (height, width),
        interpolation=interpolation,
        normalize=normalize,
        quantize=quantize,
        q=percentile,
        threshold=threshold,
        packed=packed,
        thresholds=thresholds,
        extents=extents,
        maps=full if with_maps else None,
    )
    return out


torch.library.register_fake("fastcam::binarize", _empty)
_library.impl("binarize", _any_device, "CompositeExplicitAutograd")
_library.impl("binarize", _cuda, "CUDA")
binarize = torch.ops.fastcam.binarize.default
