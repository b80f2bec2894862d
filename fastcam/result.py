"""What localization finds in images: :class:`Localization`, and the forms that other libraries take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Localization"]


@dataclass(frozen=True)
class Localization:
    """What was found in N images, for one class each or, where the index was (N, T), for T classes each.

    Everything is on the features' device.

    Attributes:
        boxes: (N[, T], 4) float32, x0, y0, x1, y1 in pixels of ``size``, half-open unless the protocol says otherwise.
        areas: (N[, T]) of the largest component; int64 pixels, or float64 polygon areas.
        thresholds: (N[, T]) float32, in the units of the maps; NaN where a map holds a NaN.
        labels: (N[, T]) int64, the classes; None where none were given.
        scores: (N[, T]) float32, the classes' probabilities; None where no logits were at hand.
        maps: (N[, T], H, W) float32, or uint8 levels where the protocol quantizes; a list of N where ``size`` differs
            by image; None unless asked for.
        masks: likewise, bool: ``maps > thresholds``.
    """

    boxes: Tensor
    areas: Tensor
    thresholds: Tensor
    labels: Tensor | None = None
    scores: Tensor | None = None
    maps: Tensor | list[Tensor] | None = None
    masks: Tensor | list[Tensor] | None = None

    def __len__(self) -> int:
        """Return the number of images, N."""
        return len(self.boxes)

    def to_coco(
        self, image_ids: Sequence[int] | None = None, category_ids: Mapping[int, int] | Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """COCO results: a dictionary a box with ``image_id``, ``category_id``, ``bbox`` (x, y, w, h) and ``score``.

        Args:
            image_ids: the ids of the N images; 0, 1, ... by default.
            category_ids: the category id of each label; the labels themselves by default.

        Raises:
            ValueError: ``image_ids`` of another length than N, or no labels to take categories from.

        Example:
            >>> import torch, fastcam
            >>> heat = torch.zeros(1, 4, 4)
            >>> heat[0, 1:3, 1:4] = 1
            >>> found = fastcam.boxes_from_maps(heat)
            >>> import dataclasses
            >>> dataclasses.replace(found, labels=torch.tensor([7])).to_coco()
            [{'image_id': 0, 'category_id': 7, 'bbox': [1.0, 1.0, 3.0, 2.0], 'score': 1.0}]
        """
        if self.labels is None:
            raise ValueError("to_coco needs labels, got a Localization without; set them with dataclasses.replace")
        ids = list(range(len(self))) if image_ids is None else list(image_ids)
        if len(ids) != len(self):
            raise ValueError(f"image_ids must have the length of the {len(self)} images, got {len(ids)}")
        results = []
        for image, found in zip(ids, self.to_torchmetrics(), strict=True):
            columns = (found[key].tolist() for key in ("boxes", "labels", "scores"))
            for (x0, y0, x1, y1), label, score in zip(*columns, strict=True):
                category = label if category_ids is None else category_ids[label]
                results.append(
                    {"image_id": image, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
                )
        return results

    def to_torchmetrics(self) -> list[dict[str, Tensor]]:
        """What torchmetrics' detection metrics take: for each image ``boxes`` (T, 4), ``scores`` and ``labels`` (T,).

        A score that is not known is 1, a label that is not known 0.
        """
        shape = self.areas.shape
        labels = torch.zeros(shape, dtype=torch.int64, device=self.boxes.device) if self.labels is None else self.labels
        scores = torch.ones(shape, device=self.boxes.device) if self.scores is None else self.scores
        per_image = (
            part if part.ndim > ndim else part[:, None] for part, ndim in ((self.boxes, 2), (scores, 1), (labels, 1))
        )
        return [{"boxes": b, "scores": s, "labels": k} for b, s, k in zip(*per_image, strict=True)]
