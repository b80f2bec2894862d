"""``fastcam::cam`` (Eq. 2, 5) and ``fastcam::locate``, from maps to boxes (Eq. 3, 6)."""

from __future__ import annotations

import torch
from torch import Tensor

from fastcam import reference
from fastcam.ops.regions import largest

__all__ = ["cam", "locate"]

_library = torch.library.Library("fastcam", "FRAGMENT")
_tags = (torch.Tag.pt2_compliant_tag,)
_library.define("cam(Tensor features, Tensor weight, Tensor? index, bool clamp_negative) -> Tensor", tags=_tags)
_library.define(
    "locate(Tensor maps, int height, int width, str interpolation, str normalize, bool quantize, float percentile,"
    " float threshold, bool polygon, int connectivity, bool clipped, bool whole_image, bool with_maps, bool with_masks)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    tags=_tags,
)
_library.impl("cam", reference.activation.cam, "CompositeExplicitAutograd")


@torch.library.register_fake("fastcam::cam")
def _(features: Tensor, weight: Tensor, index: Tensor | None, clamp_negative: bool) -> Tensor:  # noqa: ARG001
    work = torch.float64 if features.dtype == torch.float64 else torch.float32
    rows = weight.shape[:1] if index is None else index.shape
    return features.new_empty((*rows, *features.shape[2:]), dtype=work)


@torch.library.register_fake("fastcam::locate")
def _(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: str,  # noqa: ARG001
    normalize: str,  # noqa: ARG001
    quantize: bool,
    percentile: float,  # noqa: ARG001
    threshold: float,  # noqa: ARG001
    polygon: bool,
    connectivity: int,  # noqa: ARG001
    clipped: bool,  # noqa: ARG001
    whole_image: bool,  # noqa: ARG001
    with_maps: bool,
    with_masks: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    n = maps.shape[0]
    return (
        maps.new_empty((n, 4), dtype=torch.float32),
        maps.new_empty(n, dtype=torch.float64 if polygon else torch.int64),
        maps.new_empty(n, dtype=torch.float32),
        maps.new_empty((n if with_maps else 0, height, width), dtype=torch.uint8 if quantize else torch.float32),
        maps.new_empty((n if with_masks else 0, height, width), dtype=torch.bool),
    )


def _locate(
    maps: Tensor,
    height: int,
    width: int,
    interpolation: str,
    normalize: str,
    quantize: bool,
    percentile: float,
    threshold: float,
    polygon: bool,
    connectivity: int,
    clipped: bool,
    whole_image: bool,
    with_maps: bool,
    with_masks: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    full, thresholds, masks = reference.activation.kept(
        maps,
        (height, width),
        interpolation=interpolation,  # type: ignore[arg-type]
        normalization=normalize,  # type: ignore[arg-type]
        quantize=quantize,
        q=percentile,
        threshold=threshold,
    )
    boxes, areas = largest(masks.to(torch.uint8), width, polygon, connectivity)
    empty = (boxes[:, 2] == 0)[:, None]
    if clipped:
        boxes = torch.minimum(boxes, boxes.new_tensor([width, height, width - 1, height - 1]))
    if whole_image:
        boxes = torch.where(empty, boxes.new_tensor([0, 0, width, height]), boxes)
    return boxes, areas, thresholds, full if with_maps else full[:0].clone(), masks if with_masks else masks[:0].clone()


_library.impl("locate", _locate, "CompositeExplicitAutograd")
cam = torch.ops.fastcam.cam.default
locate = torch.ops.fastcam.locate.default
