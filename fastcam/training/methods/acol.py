"""ACoL: a second classifier that sees only what the first did not need."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastcam.activation import cam
from fastcam.localization import Localization, boxes_from_maps
from fastcam.models.classifier import Classifier
from fastcam.protocol import PAPER, Protocol
from fastcam.training.methods.method import Method, Outcome

__all__ = ["ACoL", "erase", "spread"]


def spread(maps: Tensor) -> Tensor:
    """Bring each map (..., h, w) to [0, 1] by its minimum and maximum; a constant map becomes 0.

    Example:
        >>> spread(torch.tensor([[[1.0, 3.0], [2.0, 1.0]]]))
        tensor([[[0.0000, 1.0000],
                 [0.5000, 0.0000]]])
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / torch.where(high > low, high - low, 1)


def erase(features: Tensor, attention: Tensor, threshold: float) -> Tensor:
    """Set the features (N, C, h, w) to 0 where the attention (N, h, w), in [0, 1], reaches the threshold."""
    return features * (attention < threshold)[:, None]


class ACoL(Method):
    """Adversarial complementary learning (Zhang et al., CVPR 2018).

    Classifier A is the model's own: its neck, pooling and linear layer, so that the checkpoint stays an ordinary one.
    Classifier B has its own weights, two 3x3 convolutions and a linear layer as in the paper, and takes the backbone's
    features with A's attention to the true class erased. The loss is the sum of both cross-entropies; the map that
    localizes is the larger of both, each spread over [0, 1].

    Args:
        threshold: delta, in [0, 1]: what counts as attended.
    """

    name = "acol"

    def __init__(self, threshold: float = 0.7) -> None:
        super().__init__()
        self.threshold = self._fraction("threshold", threshold)

    def attach(self, model: Classifier) -> None:
        """Build classifier B."""
        linear = model.classifier
        channels = min(1024, linear.in_features)
        self.neck = nn.Sequential(
            nn.Conv2d(model.backbone_channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(channels, linear.out_features)
        for layer in self.neck:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, model: Classifier, images: Tensor, labels: Tensor) -> Outcome:
        """Return the sum of both classifiers' cross-entropies, and A's logits."""
        backbone = model.forward_backbone(images)
        first = model.forward_neck(backbone)
        logits = model.forward_head(first)
        second = self._second(model, backbone, first, labels)
        other = self.classifier(model.pool(second))
        return Outcome(F.cross_entropy(logits, labels) + F.cross_entropy(other, labels), logits)

    def localize(
        self, model: Classifier, images: Tensor, labels: Tensor, *, protocol: Protocol = PAPER
    ) -> tuple[Tensor, Localization]:
        """Find the boxes in the larger of both classifiers' maps."""
        with torch.no_grad():
            backbone = model.forward_backbone(images)
            first = model.forward_neck(backbone)
            second = self._second(model, backbone, first, labels)
            clamp = protocol.clamp_negative
            maps = torch.maximum(
                spread(cam(first, model.classifier.weight, labels, clamp_negative=clamp)),
                spread(cam(second, self.classifier.weight, labels, clamp_negative=clamp)),
            )
            found = boxes_from_maps(maps, size=(images.shape[2], images.shape[3]), protocol=protocol)
            return model.forward_head(first), found

    def _second(self, model: Classifier, backbone: Tensor, first: Tensor, labels: Tensor) -> Tensor:
        # Nothing is learned through the mask: it only says where A looks.
        attention = spread(cam(first.detach(), model.classifier.weight.detach(), labels, clamp_negative=False))
        features: Tensor = self.neck(erase(backbone, attention, self.threshold))
        return features
