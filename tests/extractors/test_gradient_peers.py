"""Gradient maps beside pytorch-grad-cam's and torch-cam's, on networks of torchvision and timm, if they are installed.

Both divide Grad-CAM's weights by the number of positions. torch-cam 0.5.0 never divides by Grad-CAM++'s denominator and
has none to compare with. pytorch-grad-cam adds 1e-6 to it, which is of the order of the gradient's square and so often
smaller than that: its weights are compared at gradients so large that this does not matter. That denominator and
XGrad-CAM's are sums of features, which may cancel where they have either sign, and then rounding decides: there, the
weights are compared at features without signs, which the papers take for granted.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from libraries import library
from torch import Tensor, nn

import fastcam
from fastcam.extractors import RowExtraction
from fastcam.extractors.gradient import GRADIENT_METHODS
from fastcam.extractors.layout import Layout
from fastcam.reference.gradient import ROWS

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore")]

SIZE = (96, 96)
TOLERANCE = 1e-5  # of a map's range

# Their names, what they are made with, and the module; None: the one that is found without names.
NETWORKS: dict[str, tuple[dict[str, Any], str | None]] = {
    "torchvision:resnet18": ({}, "layer4"),
    "torchvision:resnet50": ({}, None),
    "torchvision:vgg11_bn": ({}, "features"),  # hidden layers
    "torchvision:alexnet": ({}, "features"),
    "torchvision:mobilenet_v2": ({}, None),
    "torchvision:mobilenet_v3_small": ({}, None),
    "torchvision:efficientnet_b0": ({}, None),
    "torchvision:regnet_y_400mf": ({}, None),
    "torchvision:convnext_tiny": ({}, "features"),
    "torchvision:googlenet": ({"init_weights": False}, "inception5b"),
    "torchvision:squeezenet1_1": ({}, "features"),
    "torchvision:swin_t": ({}, "norm"),  # (N, h, w, C)
    "torchvision:vit_b_32": ({"image_size": 96}, "encoder.layers.encoder_layer_11.ln_1"),
    "timm:vit_tiny_patch16_224": ({"img_size": 96}, "blocks.11.norm1"),
    "timm:deit_tiny_distilled_patch16_224": ({"img_size": 96}, "blocks.11.norm1"),  # class and distillation token
    "timm:vit_small_patch16_dinov3": ({"img_size": 96}, "blocks.11.norm1"),  # class and register tokens
    "timm:mixer_s32_224": ({"img_size": 96}, None),  # tokens without a class token
    "timm:pvt_v2_b0": ({}, None),
    "timm:swin_tiny_patch4_window7_224": ({"img_size": 96}, "norm"),
    "timm:resnetv2_50": ({}, "norm"),
    "timm:ghostnet_100": ({}, "blocks.9"),
    "timm:nf_regnet_b0": ({}, "final_conv"),
}


def network(name: str, options: dict[str, Any]) -> nn.Module:
    origin, _, kind = name.partition(":")
    torch.manual_seed(0)
    if origin == "timm":
        model = library("timm").create_model(kind, pretrained=False, **options)
    else:
        model = library("torchvision").models.get_model(kind, weights=None, **options)
    with torch.no_grad():  # what is 0 or 1 at first would hide a mistake
        for value in model.parameters():
            if value.ndim > 1:
                value.normal_(0, 1.4 / math.sqrt(value[0].numel()))
            else:
                value.add_(torch.randn_like(value) * 0.1)
        for key, value in model.named_buffers():
            if key.endswith("running_mean"):
                value.normal_(0, 0.1)
            elif key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
    return model.eval()  # type: ignore[no-any-return]


class Case:
    """A network, its images and classes, and where its features are."""

    def __init__(self, name: str) -> None:
        options, module = NETWORKS[name]
        self.model = network(name, options)
        self.images = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
        localizer = fastcam.Localizer(self.model, module, cam="grad-cam")
        source = localizer.inspect(self.images)
        self.module, self.layout = source.features, source.layout
        # Of random weights, some classes' maps are negative everywhere, and 0 behind the ReLU.
        some = localizer.extract(self.images, top_k=20)
        assert isinstance(some, RowExtraction)
        self.signed = bool((some.features < 0).any())
        maps = some.maps(clamp_negative=False).flatten(2)
        widest = (maps.amax(2) - maps.amin(2)).argmax(1, keepdim=True)
        self.classes = some.labels.gather(1, widest)[:, 0]

    def ours(self, method: str) -> np.ndarray:
        localizer = fastcam.Localizer(self.model, self.module, cam=method)  # type: ignore[arg-type]
        return localizer.extract(self.images, self.classes).maps(clamp_negative=False).numpy()

    def cancels(self, method: str) -> bool:
        return method == "xgrad-cam" and self.signed

    def planes(self, tensor: Tensor) -> Tensor:
        return self.layout.planes(tensor, SIZE)


PYTORCH_GRAD_CAM = dict(
    zip(GRADIENT_METHODS, ("GradCAM", "GradCAMPlusPlus", "XGradCAM", "LayerCAM", "HiResCAM"), strict=True)
)
TORCH_CAM = {"grad-cam": "GradCAM", "xgrad-cam": "XGradCAM", "layer-cam": "LayerCAM"}


def difference(ours: np.ndarray, theirs: np.ndarray, method: str) -> float:
    """The largest, as a share of the range."""
    positions = ours[0].size if method == "grad-cam" else 1
    span = float(np.ptp(theirs))
    assert span > 0, f"{method}: a constant map shows nothing"
    return float(np.abs(ours / positions - theirs).max()) / span


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_grad_cam(name: str) -> None:
    peer: ModuleType = library("pytorch_grad_cam")
    case = Case(name)
    layer = case.model.get_submodule(case.module)
    targets = [peer.utils.model_targets.ClassifierOutputTarget(int(k)) for k in case.classes]
    with peer.GradCAM(case.model, [layer], reshape_transform=case.planes) as cam:
        cam(case.images, targets)
        held = cam.activations_and_grads
        features, gradients = held.activations[0].numpy(), held.gradients[0].numpy()

    def theirs(method: str, f: np.ndarray, g: np.ndarray) -> np.ndarray:
        with getattr(peer, PYTORCH_GRAD_CAM[method])(case.model, [layer]) as one:
            return np.maximum(one.get_cam_image(case.images, layer, targets, f, g, False), 0)

    alike = [method for method in GRADIENT_METHODS if method != "grad-cam++" and not case.cancels(method)]
    found = {method: difference(case.ours(method), theirs(method, features, gradients), method) for method in alike}
    f, g = np.abs(features).astype(np.float64), gradients.astype(np.float64)
    g *= 1e3 / np.abs(g[g != 0]).min()
    for method in ("grad-cam++", "xgrad-cam"):
        with getattr(peer, PYTORCH_GRAD_CAM[method])(case.model, [layer]) as one:
            weights = one.get_cam_weights(case.images, layer, targets, f, g)
        rows = ROWS[method](torch.from_numpy(f), torch.from_numpy(g)).numpy()
        found[f"{method}, weights"] = float(np.abs(rows - weights).max() / np.ptp(weights))
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_cam(name: str) -> None:
    methods: ModuleType = library("torchcam.methods")
    case = Case(name)
    options: dict[str, Any] = {} if case.layout == Layout(4, 1) else {"reshape_transform": case.planes}
    found = {}
    for method, theirs in TORCH_CAM.items():
        if case.cancels(method):
            continue
        with getattr(methods, theirs)(case.model, case.module, **options) as cam:
            (maps,) = cam(case.classes.tolist(), case.model(case.images), normalized=False)
        found[method] = difference(case.ours(method), maps.detach().numpy(), method)
    assert max(found.values()) <= TOLERANCE, found
