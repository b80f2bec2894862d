"""What is trained: a model and its method as one module, and their optimizer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from fastcam.methods import Method
from fastcam.models import Classifier
from fastcam.training.config import TrainingConfig

__all__ = ["Trainee", "load_weights", "make_optimizer"]


class Trainee(nn.Module):
    """Model and method as one module with one ``forward``, which is what averages gradients over processes.

    Args:
        model: the classifier.
        method: attached to it.
        freeze_norm: leave batch normalization, its statistics and its parameters, as it is.
    """

    def __init__(self, model: Classifier, method: Method, *, freeze_norm: bool) -> None:
        super().__init__()
        self.model, self.method = model, method
        self._frozen = [layer for layer in self.modules() if freeze_norm and isinstance(layer, _NormBase)]
        for layer in self._frozen:
            layer.requires_grad_(False)
        # As the batches are: convolutions are faster so, and gradients have the parameters' layout.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def train(self, mode: bool = True) -> Trainee:
        """Set the mode of all but the frozen layers, which stay in eval mode."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scalar loss of a batch, and the logits (N, K)."""
        outcome = self.method(self.model, images, labels)
        return outcome.loss, outcome.logits


def load_weights(trainee: Trainee, model: Mapping[str, Tensor], method: Mapping[str, Tensor]) -> None:
    """Load the weights of both, as checkpoints hold them."""
    trainee.model.load_state_dict(model)
    trainee.method.load_state_dict(method)


def make_optimizer(trainee: Trainee, config: TrainingConfig) -> torch.optim.SGD:
    """SGD with Nesterov's momentum; the last layer and a method's own branches learn faster than the backbone."""
    head = [*trainee.model.classifier.parameters(), *trainee.method.parameters()]
    known = set(map(id, head))
    backbone = [one for one in trainee.parameters() if id(one) not in known and one.requires_grad]
    groups = [{"params": backbone, "ratio": 1.0}, {"params": head, "ratio": config.classifier_ratio}]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=config.lr,
        momentum=config.momentum,
        nesterov=config.momentum > 0,
        weight_decay=config.weight_decay,
    )
