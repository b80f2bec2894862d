"""Grad-CAM from images to boxes, beside pytorch-grad-cam; the network's own forward pass is the floor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from libraries import library
from mask_peers import EXTERNAL, LARGEST
from row import Contender, Row
from torch import Tensor, nn

import fastcam

IMAGES, SIDE = 16, 224
NETWORKS = ["resnet18", "resnet50"]
# Maps of pytorch-grad-cam are stretched to [0, 1], so ours are too before they meet the threshold.
PROTOCOL = fastcam.PAPER.replace(clamp_negative=False, normalize="minmax", area="polygon")


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return library("torchvision").models.get_model(name, weights=None).eval()  # type: ignore[no-any-return]


def boxes_of(maps: np.ndarray) -> list[tuple[int, int, int, int]]:
    """By OpenCV, map by map, as the protocol says."""
    kept = [(one > np.float32(PROTOCOL.threshold) * np.percentile(one, PROTOCOL.percentile)) for one in maps]
    return [LARGEST[EXTERNAL](mask.view(np.uint8)) for mask in kept]


def pytorch_grad_cam(model: nn.Module, layer: nn.Module, images: Tensor) -> Callable[[], list[tuple[int, ...]]]:
    """One call for the whole batch. Its cost is the forward pass, a backward pass as far as gradients are asked for."""
    cam = library("pytorch_grad_cam").GradCAM(model, [layer])
    return lambda: boxes_of(cam(images, None))


def frozen(name: str) -> nn.Module:
    """One of which the peer needs the shortest backward pass: nothing in front of the features asks for a gradient."""
    model = network(name).requires_grad_(False)
    last = model.layer4[-1]
    (last.bn3 if hasattr(last, "bn3") else last.bn2).requires_grad_(True)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam(name, measured):
    images = torch.rand(IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    model, short = network(name), frozen(name)
    localizer = fastcam.Localizer(model, "layer4", cam="grad-cam")
    linear = fastcam.Localizer(model, "layer4", "fc")
    peer, shorter = (pytorch_grad_cam(one, one.layer4, images) for one in (model, short))

    def ours() -> Tensor:
        return localizer(images, protocol=PROTOCOL)[1].boxes

    def forward() -> Tensor:
        with torch.no_grad():
            return model(images)  # type: ignore[no-any-return]

    off = np.abs(np.array(peer()) - ours().numpy()).max(axis=1)
    assert (off <= 1).mean() >= 0.8, off
    assert np.abs(np.array(shorter()) - np.array(peer())).max() <= 1
    entrants = [
        Contender("fastcam", "fastcam", ours),
        Contender("fastcam, linear map", "fastcam", lambda: linear(images, protocol=PROTOCOL)),
        Contender("pytorch-grad-cam + findContours", "peer", peer),
        Contender("the same, all frozen but the last norm", "peer", shorter),
        Contender("the forward pass alone", "floor", forward),
    ]
    measured(Row("gradients", "Grad-CAM to boxes", name, f"{SIDE}x{SIDE}", IMAGES, entrants))
