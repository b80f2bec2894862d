"""Networks of sound, video and volumes: their maps, the check of their heads, and that they have no boxes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

import fastcam
from fastcam.extractors import HeadMismatchWarning, LinearExtraction

C, K = 8, 5
SIDES = {1: (40,), 3: (6, 10, 12)}


def convolution(axes):
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]


def network(axes, head="linear"):
    torch.manual_seed(axes)
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[axes - 1](1)
    flatten = nn.Flatten()
    last = nn.Linear(C, K) if head == "linear" else convolution(axes)(C, K, 1)
    parts = {"body": nn.Sequential(convolution(axes)(2, C, 3), nn.ReLU()), "pool": pool}
    parts |= {"flatten": flatten, "head": last} if head == "linear" else {"head": last}
    return nn.Sequential(OrderedDict(parts)).eval()


@pytest.fixture(params=SIDES)
def axes(request):
    return request.param


@pytest.fixture
def images(axes):
    return torch.rand(3, 2, *SIDES[axes], generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", ["linear", "convolution"])
@pytest.mark.parametrize("clamp", [True, False])
def test_named_modules(axes, images, head, clamp):
    model = network(axes, head)
    extraction = fastcam.Localizer(model, "body", "head").extract(images, top_k=2)
    assert isinstance(extraction, LinearExtraction)
    assert extraction.size == SIDES[axes]
    with torch.no_grad():
        features, weight = model.body(images).double().numpy(), model.head.weight.flatten(1).double().numpy()
    rows = weight[extraction.labels.numpy()]
    rows = np.maximum(rows, 0) if clamp else rows
    expected = np.einsum("ntc,nc...->nt...", rows, features)
    np.testing.assert_allclose(extraction.maps(clamp_negative=clamp).numpy(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(extraction.logits, model(images).flatten(1).detach())


def test_a_head_that_is_not_the_model_s_is_told(axes, images):
    model = network(axes)
    model.flatten = nn.Sequential(nn.Flatten(), nn.Sigmoid()).eval()
    with pytest.warns(HeadMismatchWarning, match="the map is not that of this classifier"):
        fastcam.Localizer(model, "body", "head").extract(images)


def test_the_maximum_is_a_pooling_too(axes, images):
    model = network(axes)
    model.pool = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)[axes - 1](1)
    assert fastcam.Localizer(model, "body", "head").extract(images).maps().dim() == axes + 1


def test_resnet_s_names(axes, images):
    model = network(axes)
    renamed = nn.Sequential(
        OrderedDict(layer4=model.body, pool=model.pool, flatten=model.flatten, fc=model.head)
    ).eval()
    assert fastcam.Localizer(renamed).extract(images).maps().shape[0] == 3


def test_one_position(axes, images):
    message = r"one position, \(1,.* 1.*for images of .*features='body'" if axes > 1 else r"one position, \(1,\)"
    with pytest.raises(ValueError, match=message):
        fastcam.Localizer(network(axes), "pool", "head").extract(images)


def test_no_boxes(axes, images):
    localizer = fastcam.Localizer(network(axes), "body", "head")
    with pytest.raises(ValueError, match=r"images must be \(N, 3, H, W\), got shape \(3, 2, "):
        localizer(images)
    extraction = localizer.extract(images)
    for options in ({}, {"size": (8, 8)}):
        with pytest.raises(ValueError, match=r"features must be \(N, C, h, w\) .*maps, by fastcam.cam, but no boxes"):
            extraction.localize(**options)


@pytest.mark.parametrize("cam", ["grad-cam", "grad-cam++", "xgrad-cam", "layer-cam", "hires-cam"])
def test_gradient_maps(axes, images, cam):
    model = network(axes)
    extraction = fastcam.Localizer(model, "body", cam=cam).extract(images, [[0, 1], [2, 3], [4, 0]])
    maps = extraction.maps()
    assert maps.shape[:2] == (3, 2)
    with torch.no_grad():
        features = model.body(images)
    assert maps.shape[2:] == features.shape[2:]
    if cam == "grad-cam":  # the head is linear behind a mean
        expected = fastcam.cam(features, model.head.weight, extraction.labels)
        torch.testing.assert_close(maps, expected)
    with pytest.raises(ValueError, match=r"boxes are found in maps \(N, h, w\), got maps with sides"):
        extraction.localize()


def test_without_names_images_have_two_axes(axes, images):
    with pytest.raises(ValueError, match=r"name features and classifier"):
        fastcam.Localizer(network(axes)).extract(images)


def test_a_single_image_is_told_so():
    model = nn.Sequential(OrderedDict(body=nn.Conv2d(3, C, 3), pool=nn.AdaptiveAvgPool2d(1), head=nn.Conv2d(C, K, 1)))
    with pytest.raises(ValueError, match=r"a single image is images\[None\]"):
        fastcam.Localizer(model.eval(), "body", "head").extract(torch.rand(3, 16, 16))


def test_gradient_maps_of_what_has_no_positions(axes, images):
    with pytest.raises(ValueError, match=r"features='flatten' gives no maps with positions along \d axes, got shape"):
        fastcam.Localizer(network(axes), "flatten", cam="grad-cam").extract(images)
