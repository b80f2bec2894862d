"""The eight rows of the paper's Table 3, and how each is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.ablation.features import Truth
from fastcam.activation import cam
from fastcam.localization import boxes_from_maps
from fastcam.protocol import AUTHORS, PAPER, Protocol

__all__ = ["FAMILIES", "ROWS", "THRESHOLDS", "Family", "Judged", "Row", "aligned_iou", "found_by", "hits", "judge"]

THRESHOLDS = np.arange(0, 1, 0.01)
"""What the oracle chooses from."""


@dataclass(frozen=True)
class Row:
    """One combination of the three techniques.

    Attributes:
        tap: thresholded average pooling in place of global average pooling, in training.
        nwc: negative weight clamping.
        pas: the 90th percentile in place of the maximum, and the threshold 0.35 in place of 0.2.
    """

    tap: bool
    nwc: bool
    pas: bool

    def protocol(self, base: Protocol) -> Protocol:
        """Return the protocol of a family with this row's techniques, at the paper's settings."""
        percentile, threshold = (90, 0.35) if self.pas else (100, 0.2)
        return base.replace(clamp_negative=self.nwc, percentile=percentile, threshold=threshold)

    @property
    def name(self) -> str:
        """The techniques joined by +, or "baseline"."""
        used = (name for name, on in (("TAP", self.tap), ("NWC", self.nwc), ("PaS", self.pas)) if on)
        return " + ".join(used) or "baseline"


ROWS = tuple(
    Row(*(letter == "1" for letter in bits)) for bits in ("000", "100", "010", "001", "110", "101", "011", "111")
)
"""In the order of the paper's Table 3; the first is the baseline, the last has everything."""


@dataclass(frozen=True)
class Family:
    """Protocols that differ in the techniques alone, and how their boxes are compared."""

    base: Protocol
    inclusive: bool


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {"PAPER/VANILLA": Family(PAPER, inclusive=False), "AUTHORS": Family(AUTHORS, inclusive=True)}
)
"""The equations taken literally, half-open boxes; and the released code, whose IoU counts both ends."""


@dataclass(frozen=True)
class Judged:
    """How one row did with one seed.

    Attributes:
        found: (N,) bool: the box of the true class has an IoU of 0.5 or more, at the paper's threshold.
        correct: (N,) bool: the classifier's first class is the true one.
        curve: of each of :data:`THRESHOLDS`, the share of images found.
    """

    found: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    curve: NDArray[np.float64]


def judge(
    features: Tensor, weight: Tensor, logits: Tensor, truth: Truth, size: tuple[int, int], family: Family
) -> dict[tuple[bool, bool], Judged]:
    """Judge the four rows that share a trained network.

    Args:
        features: (N, C, h, w), the maps that are pooled.
        weight: (K, C), the classifier's.
        logits: (N, K).
        truth: labels and boxes.
        size: (H, W) that the boxes refer to.
        family: the protocols.

    Returns:
        By (nwc, pas).
    """
    correct = (logits.argmax(dim=1).cpu() == truth.labels).numpy()
    judged = {}
    for nwc in (False, True):
        maps = cam(features, weight, truth.labels.to(features.device), clamp_negative=nwc).float()
        for pas in (False, True):
            protocol = Row(False, nwc, pas).protocol(family.base)
            found = hits(maps, truth, size, protocol, family.inclusive)
            curve = [
                hits(maps, truth, size, protocol.replace(threshold=float(one)), family.inclusive).mean()
                for one in THRESHOLDS
            ]
            judged[nwc, pas] = Judged(found, correct, np.array(curve))
    return judged


def hits(maps: Tensor, truth: Truth, size: tuple[int, int], protocol: Protocol, inclusive: bool) -> NDArray[np.bool_]:
    """Say of each map (N, h, w) whether its box has an IoU of 0.5 or more with a true one."""
    return found_by(boxes_from_maps(maps, size=size, protocol=protocol).boxes.cpu(), truth, inclusive=inclusive)


def found_by(boxes: Tensor, truth: Truth, *, inclusive: bool) -> NDArray[np.bool_]:
    """Say of each image, (N,), whether its box, of (N, 4) or of (1, 4) for all, has an IoU of 0.5 or more."""
    found: NDArray[np.bool_] = (
        aligned_iou(boxes, truth.compared(inclusive=inclusive), inclusive=inclusive) >= 0.5
    ).numpy()
    return found


def aligned_iou(found: Tensor, truth: Tensor, *, inclusive: bool) -> Tensor:
    """Best IoU of each box with its own image's boxes.

    Args:
        found: (N, 4), or (1, 4) for the same box in every image.
        truth: (N, G, 4).
        inclusive: x1 and y1 are the last pixels inside.

    Returns:
        (N,) float64.

    Example:
        >>> a, b = torch.tensor([[0, 0, 10, 10]]), torch.tensor([[[0, 0, 10, 5], [50, 50, 60, 60]]])
        >>> aligned_iou(a, b, inclusive=False)
        tensor([0.5000], dtype=torch.float64)
    """
    end = 1 if inclusive else 0
    a, b = found.double()[:, None], truth.double()
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    both = (high - low + end).clamp(min=0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + end).prod(dim=-1) for boxes in (a, b)]
    union = areas[0] + areas[1] - both
    return torch.where(union > 0, both / union, 0).amax(dim=1)
