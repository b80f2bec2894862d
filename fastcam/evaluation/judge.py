"""Which boxes fit the ground truth and which classes are right: what GT-Loc and Top-k Loc stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastcam.evaluation.truth import Truth
from fastcam.metrics.ground_truth import GroundTruth
from fastcam.protocol import Protocol

__all__ = ["Judge", "Judged", "correct_classes"]


class Judge:
    """Compares one box an image with the image's ground truth, as a protocol's ``iou`` says.

    Args:
        truth: of N images.
        protocol: its ``iou`` alone says whether x1 and y1 count as pixels inside.

    Example:
        >>> import fastcam
        >>> truth = Truth(np.array([0, 0]), (np.array([[0, 0, 9, 9]]), np.array([[4, 4, 29, 29]])), "inclusive")
        >>> whole = torch.tensor([[0.0, 0.0, 32.0, 32.0]])
        >>> Judge(truth, fastcam.PAPER).fits(whole).tolist()
        [False, True]
        >>> Judge(truth, fastcam.AUTHORS).ious(whole).round(3).tolist()
        [0.092, 0.621]
    """

    def __init__(self, truth: Truth, protocol: Protocol) -> None:
        self._inclusive = protocol.iou == "inclusive"
        self._images = len(truth)
        compared = list(enumerate(truth.compared(protocol)))
        boxed = [(number, boxes) for number, boxes in compared if boxes is not None and len(boxes)]
        self._numbers = torch.tensor([number for number, _ in boxed], dtype=torch.int64)
        self._truth = GroundTruth([boxes for _, boxes in boxed], len(boxed))

    def ious(self, boxes: Tensor) -> NDArray[np.float64]:
        """Return each image's best IoU with any of its ground-truth boxes, (N,); 0 for images without.

        Args:
            boxes: (N, 4), x0, y0, x1, y1 in evaluated pixels; or (1, 4), the same box in every image.

        Raises:
            ValueError: another number of boxes.
        """
        if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) not in (1, self._images):
            raise ValueError(f"boxes must be ({self._images}, 4) or (1, 4), got shape {tuple(boxes.shape)}")
        here = boxes.expand(self._images, 4)[self._numbers.to(boxes.device)]
        ious = torch.zeros(self._images, dtype=torch.float64)
        ious[self._numbers] = self._truth.best_iou(here[:, None], inclusive=self._inclusive)[:, 0]
        return ious.numpy()

    def fits(self, boxes: Tensor, iou: float = 0.5) -> NDArray[np.bool_]:
        """Return whether each image's box reaches an IoU, (N,) bool; the boxes are those of :meth:`ious`."""
        return np.asarray(self.ious(boxes) >= iou)


@dataclass(frozen=True)
class Judged:
    """What was right of N images.

    Attributes:
        fits: (N,) bool, the box fits; None without ground truth for boxes.
        correct: (N, 2) bool, the class is right in the first place and among the first five; None where the network's
            classes are not those of the data set.
    """

    fits: NDArray[np.bool_] | None
    correct: NDArray[np.bool_] | None

    def hits(self) -> dict[str, NDArray[np.bool_]]:
        """Return for each of the field's numbers which images count, (N,) bool; the number is their share.

        ``top1_cls`` and ``top5_cls``; with boxes ``gt_loc``, ``top1_loc`` and ``top5_loc``. Where the classes are not
        known to be right or wrong there is ``loc`` alone.

        Example:
            >>> Judged(np.array([True, True]), np.array([[False, True], [True, True]])).hits()["top1_loc"].tolist()
            [False, True]
        """
        if self.correct is None:
            return {} if self.fits is None else {"loc": self.fits}
        first, among = self.correct.T
        hits = {"top1_cls": first, "top5_cls": among}
        if self.fits is not None:
            hits |= {"gt_loc": self.fits, "top1_loc": self.fits & first, "top5_loc": self.fits & among}
        return hits


def correct_classes(logits: Tensor, accepted: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """Return whether the class is right in the first place, and whether among the first five.

    Args:
        logits: (N, K).
        accepted: for each image the classes that are right.

    Returns:
        (N, 2) bool.

    Example:
        >>> correct_classes(torch.tensor([[0.0, 1, 2, 3, 4, 5, 6]]), [[5]]).tolist()
        [[False, True]]
    """
    first = logits.argmax(dim=1).tolist()
    among = logits.topk(min(5, logits.shape[1]), dim=1).indices.tolist()
    hits = [
        [best in names, best in names or any(one in names for one in row)]
        for best, row, names in zip(first, among, accepted, strict=True)
    ]
    return np.array(hits, bool).reshape(-1, 2)
