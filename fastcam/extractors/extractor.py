"""What runs a network once and gives maps: :class:`Extractor`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fastcam.activation import Index
from fastcam.extractors.extraction import (
    Extraction,
    LocalizeOptions,
    check_min_score,
    classes_above,
)
from fastcam.localization import Localization

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Extractor", "checked_images"]


class Extractor(ABC):
    """Runs a classifier once, and localizes in what that gives.

    A subclass says what the maps are, by :meth:`extract`; everything from there to boxes is the same for all.
    """

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """K, the number of classes of the classifier."""

    @abstractmethod
    def extract(self, images: Tensor, index: Index | None = None, *, top_k: int | None = None) -> Extraction:
        """Run the network once.

        Args:
            images: (N, 3, H, W), as the network wants them, on its device. A :class:`fastcam.Localizer` takes sound,
                (N, C, L), and video and volumes, (N, C, D, H, W), too; their maps have no boxes.
            index: the classes to localize: one for all images, or (N,), or (N, T), as numbers, a list or an integer
                tensor on any device. None: each image's top-1 class.
            top_k: instead of ``index``: each image's ``top_k`` classes, best first; the results are then (N, top_k).

        Returns:
            The :class:`Extraction`.

        Raises:
            TypeError: images that are no tensor, an index that is not integer, an output without logits.
            ValueError: shapes or ranges that do not fit; the message says which.
        """

    def localize(
        self,
        images: Tensor,
        index: Index | None = None,
        *,
        top_k: int | None = None,
        **options: Unpack[LocalizeOptions],
    ) -> tuple[Tensor, Localization]:
        """Run the network once and localize one class, or several, in every image.

        The mode (train or eval) is left as it is, and nothing is recorded for autograd.

        Args:
            images: see :meth:`extract`.
            index: see :meth:`extract`.
            top_k: see :meth:`extract`.
            **options: see :class:`LocalizeOptions`.

        Returns:
            The logits (N, K) as the network gave them, and what :meth:`Extraction.localize` found.

        Raises:
            TypeError: an argument of the wrong type.
            ValueError: shapes or ranges that do not fit; the message says which.

        Example:
            >>> from fastcam.models import VGG16
            >>> model = VGG16(num_classes=5, width=1 / 16).eval()
            >>> logits, found = model.localize(torch.rand(2, 3, 64, 64), top_k=2)
            >>> logits.shape, found.boxes.shape
            (torch.Size([2, 5]), torch.Size([2, 2, 4]))
            >>> _, found = model.localize(torch.rand(2, 3, 64, 64), min_score=0.1, probability="sigmoid")
            >>> bool((found.probabilities >= 0.1).all()), found.labels.shape == found.image.shape
            (True, True)
        """
        checked_images(images)
        least, how = options.get("min_score"), options.get("probability", "softmax")
        check_min_score(least, how)
        with torch.no_grad():
            extraction = self.extract(images, index, top_k=top_k)
            if least is not None and index is None and top_k is None:
                labels = classes_above(extraction.logits, least, how)
                # Of gradient maps another run: a class must be known before it.
                extraction = extraction.of_classes(labels) or self.extract(images, labels)
            return extraction.logits, extraction.localize(**options)


def checked_images(images: Tensor, *, axes: tuple[int, ...] = (2,)) -> Tensor:
    """Refuse what is no batch of images (N, C, H, W) with values; ``axes`` allows other numbers of sides than two."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images must be a tensor (N, 3, H, W), got {type(images).__name__}")
    if images.is_nested or images.layout != torch.strided or images.device.type == "meta" or images.is_quantized:
        kind = "a quantized one" if images.is_quantized else f"layout {images.layout} on {images.device}"
        kind = "a nested one" if images.is_nested else kind
        raise TypeError(f"images must be a dense tensor (N, 3, H, W) with values, got {kind}")
    if images.dim() - 2 not in axes:
        raise ValueError(f"images must be (N, 3, H, W), got shape {tuple(images.shape)}")
    return images
