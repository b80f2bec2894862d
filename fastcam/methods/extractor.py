"""A trained network together with its method, as an extractor: :class:`MethodExtractor`."""

from __future__ import annotations

from torch import Tensor

from fastcam.activation import Index
from fastcam.extractors import Extraction, Extractor
from fastcam.methods.method import Method
from fastcam.models.classifier import Classifier

__all__ = ["MethodExtractor"]


class MethodExtractor(Extractor):
    """Localizes as a method of training defines it, which for most is the class activation map.

    Args:
        model: the network, in eval mode.
        method: attached to it.

    Example:
        >>> import torch
        >>> from fastcam.methods import create_method
        >>> from fastcam.models import VGG16
        >>> model, method = VGG16(num_classes=5, width=1 / 16).eval(), create_method("acol")
        >>> method.attach(model)
        >>> MethodExtractor(model, method).localize(torch.rand(2, 3, 64, 64), top_k=3)[1].boxes.shape
        torch.Size([2, 3, 4])
    """

    def __init__(self, model: Classifier, method: Method) -> None:
        self.model, self.method = model, method

    @property
    def num_classes(self) -> int:
        """K, the number of classes of the model."""
        return self.model.num_classes

    def extract(self, images: Tensor, index: Index | None = None, *, top_k: int | None = None) -> Extraction:
        """Run the network once; see :meth:`fastcam.extractors.Extractor.extract`."""
        return self.method.extract(self.model, images, index, top_k=top_k)
