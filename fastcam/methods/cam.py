"""CAM: the classifier's cross-entropy, and nothing else."""

from __future__ import annotations

from fastcam.methods.method import Method

__all__ = ["CAM"]


class CAM(Method):
    """Class activation mapping (Zhou et al., CVPR 2016): an ordinary classifier, the baseline of all others.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
        >>> CAM()(model, torch.rand(2, 3, 2, 2), torch.tensor([0, 4])).logits.shape
        torch.Size([2, 5])
    """

    name = "cam"
