"""Numbers of a row beside accuracies of boxes at a fixed threshold: MaxBoxAccV2 and PxAP, of each image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fastcam.data import Split
from fastcam.data.masks import read_mask
from fastcam.evaluation.trivial import gaussian
from fastcam.evaluation.truth import Truth
from fastcam.inputs import Inputs
from fastcam.metrics import MaxBoxAccV2, PxAP, sweep
from fastcam.protocol import Protocol

__all__ = ["EXTRA", "box_acc_v2", "gaussian_counts", "pixel_counts", "pxap_of"]

EXTRA = {"maxboxaccv2": "MaxBoxAccV2", "pxap": "PxAP"}
"""Their names, and what they are called in text; thresholds are the oracle's in the one and none in the other."""

_AT_ONCE = 64


def box_acc_v2(maps: Tensor, truth: Truth, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return at what share of the IoUs 0.3, 0.5 and 0.7 each image is right, (N,); their mean is MaxBoxAccV2.

    For each IoU the threshold is the one that is best for all images.

    Args:
        maps: (N, h, w), raw.
        truth: of the images, in evaluated pixels.
        size: (H, W) of those.
    """
    metric = MaxBoxAccV2()
    ious, entries = [], []
    for first in range(0, len(maps), _AT_ONCE):
        boxes = [torch.from_numpy(boxes) for boxes in truth[first : first + _AT_ONCE] if boxes is not None]
        swept = sweep(maps[first : first + _AT_ONCE], boxes, size=size, largest=False)
        metric.update(swept)
        assert swept.iou_of_any is not None
        ious.append(swept.iou_of_any)
        entries.append(swept.entries(metric.thresholds))
    found = metric.compute()
    iou, entry = torch.cat(ious), torch.cat(entries)
    right = torch.zeros(len(maps), dtype=torch.float64)
    for level in metric.iou_thresholds:
        best = found[f"best_threshold_{round(100 * level)}"].item()
        at = int(np.abs(metric.thresholds - best).argmin())
        right += (iou.gather(1, entry[:, at : at + 1])[:, 0] >= level).double()
    return (right / len(metric.iou_thresholds)).numpy()


def pixel_counts(maps: Tensor, split: Split, inputs: Inputs, protocol: Protocol) -> NDArray[np.int32]:
    """Count pixels of background and of objects by their scores, (N, 2, bins) for N images: what PxAP is read from.

    Where the threshold refers to the maximum, a map is spread over [0, 1] as wsolevaluation does. Where it refers to a
    percentile (PaS) it is divided by that and clipped to [0, 1]: see :class:`fastcam.metrics.PxAP`.

    Args:
        maps: (N, h, w), raw.
        split: of the images, with masks.
        inputs: whose size is evaluated.
        protocol: its percentile counts.
    """
    metric, found = PxAP(), []
    for first in range(0, len(maps), _AT_ONCE):
        part = maps[first : first + _AT_ONCE]
        masks = np.stack([read_mask(record, inputs) for record in split.records[first : first + _AT_ONCE]])
        size: tuple[int, int] | None = inputs.size
        if protocol.percentile < 100:
            part, size = _by_percentile(part, inputs.size, protocol.percentile), None
        found += [one.cpu().numpy().astype(np.int32) for one in metric.histograms(part, masks, size, of_each=True)]
    return np.stack(found)


def gaussian_counts(split: Split, inputs: Inputs) -> NDArray[np.int32]:
    """Count the pixels under a centred Gaussian that is the same in every image; see :func:`pixel_counts`."""
    metric, heat = PxAP(), torch.from_numpy(gaussian(inputs.size))[None]
    masks = (read_mask(record, inputs)[None] for record in split)
    return np.stack([metric.histograms(heat, mask, None, of_each=False)[0].numpy().astype(np.int32) for mask in masks])


def pxap_of(counts: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Return PxAP for counts (..., 2, bins), the last bin empty, as :class:`fastcam.metrics.PxAP` does.

    Example:
        >>> counts = np.zeros((2, 11))
        >>> counts[0, 6], counts[1, 9], counts[1, 3] = 1, 1, 1  # as in the example of PxAP
        >>> round(float(pxap_of(counts)), 4)
        0.8333
    """
    sums = counts[..., ::-1].cumsum(axis=-1, dtype=np.float64)
    background, objects = sums[..., 0, :], sums[..., 1, :]
    kept = background + objects
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = objects / kept, objects / objects[..., -1:]
    steps = np.where(kept[..., 1:] > 0, precision[..., 1:] * np.diff(recall), 0.0)
    return np.asarray(steps.sum(axis=-1))


def _by_percentile(maps: Tensor, size: tuple[int, int], percentile: float) -> Tensor:
    """Resize maps, divide them by their percentile and clip them to [0, 1]; zeros where that is not above 0."""
    resized = F.interpolate(maps.double()[:, None], size, mode="bicubic", align_corners=False)[:, 0]
    reference = resized.flatten(1).quantile(percentile / 100, dim=1)[:, None, None]
    scaled = (resized / reference).clamp(0, 1)
    return torch.where(reference > 0, scaled, torch.zeros_like(scaled))
