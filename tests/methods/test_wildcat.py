import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fastcam.methods import WELDON, WILDCAT, Recipe
from fastcam.methods.wildcat import ScorePooling
from fastcam.models import create


def pooled_by_loops(scores, high, low, alpha):
    """Eq. 2 of WILDCAT, with counts: one map after the other."""
    out = np.zeros(scores.shape[:2])
    for n, image in enumerate(scores):
        for k, one in enumerate(image):
            ordered = np.sort(one.ravel())
            out[n, k] = ordered[-high:].sum() / high + alpha * ordered[:low].sum() / low
    return out


@pytest.mark.parametrize(
    ("k_max", "k_min", "counts"),
    # Of 5 x 7 = 35 positions.
    [(3, 2, (3, 2)), (0.2, 0.5, (7, 18)), (1.0, 1, (35, 1)), (0.001, 100, (1, 35))],
)
@pytest.mark.parametrize("alpha", [0, 0.7, 1.0])
def test_pooling_by_its_equation(k_max, k_min, counts, alpha):
    scores = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    pooled = ScorePooling(k_max, k_min, alpha)(torch.from_numpy(scores))
    np.testing.assert_allclose(pooled, pooled_by_loops(scores, *counts, alpha), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_pooling_of_narrow_types_and_layouts(dtype):
    scores = torch.randint(-8, 8, (2, 4, 6, 6)).to(dtype).to(memory_format=torch.channels_last)
    pooled = ScorePooling(4, 4, 1)(scores)
    assert pooled.dtype == dtype
    np.testing.assert_allclose(pooled.double(), pooled_by_loops(scores.double().numpy(), 4, 4, 1), rtol=0.02, atol=0.02)


def test_gradient_of_the_pooling():
    scores = torch.rand(2, 3, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(ScorePooling(3, 0.25, 0.7), scores)


def attached(method, name="vgg16", **options):
    torch.manual_seed(0)
    model = create(name, num_classes=5, width=1 / 16, **options)
    method.attach(model)
    return model


@pytest.mark.parametrize("pooling", ["gap", "tap"])
def test_weldon_by_its_definition(pooling):
    model = attached(method := WELDON(k=2), pooling=pooling)
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([4, 1])
    outcome = method(model, images, labels)
    with torch.no_grad():
        maps = torch.einsum("nchw,kc->nkhw", model.forward_features(images), model.classifier.weight)
        maps = (maps + model.classifier.bias[:, None, None]).double()
    wanted = torch.from_numpy(pooled_by_loops(maps.numpy(), 2, 2, 1.0))
    torch.testing.assert_close(outcome.logits.double(), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(outcome.loss.double(), F.cross_entropy(wanted, labels), rtol=1e-5, atol=1e-6)
    # What is kept gives the same scores, and they are those that localization reports.
    torch.testing.assert_close(model(images), outcome.logits)
    torch.testing.assert_close(method.extract(model.eval(), images).logits, outcome.logits)


class SeveralMaps(nn.Module):
    """WILDCAT as it is written: a 1x1 convolution to M maps a class, their mean, the extremes of that."""

    def __init__(self, linear, maps):
        super().__init__()
        self.maps, self.classes = maps, linear.out_features
        self.transfer = nn.Conv2d(linear.in_features, maps * linear.out_features, 1)
        # Maps that differ, with the classifier as their mean.
        for own, mean in ((self.transfer.weight, linear.weight), (self.transfer.bias, linear.bias)):
            apart = torch.randn(maps, *mean.shape) * 0.1
            own.data = (mean.data + apart - apart.mean(0)).reshape(own.shape)

    def class_maps(self, features):
        return self.transfer(features).unflatten(1, (self.maps, self.classes)).mean(1)

    def forward(self, features):
        scores = self.class_maps(features).flatten(2)
        count = round(0.2 * scores.shape[2])
        ordered = scores.sort(2).values
        return ordered[:, :, -count:].mean(2) + 0.7 * ordered[:, :, :count].mean(2)


def test_training_and_maps_are_those_of_several_maps_a_class():
    model = attached(method := WILDCAT(maps=4))
    backbone, head = copy.deepcopy(model), SeveralMaps(model.classifier, 4)
    generator = torch.Generator().manual_seed(1)
    ours = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
    # The definition has the several maps in the place of the classifier.
    theirs = [one for name, one in backbone.named_parameters() if not name.startswith("classifier.")]
    theirs = torch.optim.SGD([*theirs, *head.parameters()], lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True)
    for _ in range(6):
        images = torch.rand(4, 3, 64, 64, generator=generator)
        labels = torch.randint(5, (4,), generator=generator)
        outcome = method(model, images, labels)
        wanted = head(backbone.forward_features(images))
        torch.testing.assert_close(outcome.logits, wanted, rtol=1e-4, atol=1e-5)
        for optimizer, loss in ((ours, outcome.loss), (theirs, F.cross_entropy(wanted, labels))):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    mean = head.transfer.weight.detach().reshape(4, 5, -1).mean(0)
    torch.testing.assert_close(model.classifier.weight.detach(), mean, rtol=1e-4, atol=1e-6)
    model.eval()
    labels = torch.tensor([[0, 3], [2, 1], [4, 0], [1, 1]])
    maps = method.extract(model, images, labels).maps(clamp_negative=False)
    with torch.no_grad():
        bias = head.transfer.bias.reshape(4, 5).mean(0)
        wanted = head.class_maps(backbone.eval().forward_features(images)) - bias[:, None, None]
    torch.testing.assert_close(maps, wanted[torch.arange(4)[:, None], labels], rtol=1e-3, atol=1e-5)


def test_maps_divide_the_gradient_of_the_classifier_alone():
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    grads = []
    for maps in (1, 8):
        model = attached(method := WILDCAT(maps=maps))
        method(model, images, labels).loss.backward()
        grads.append({name: one.grad for name, one in model.named_parameters()})
    for name, grad in grads[0].items():
        ratio = 8 if name.startswith("classifier.") else 1
        torch.testing.assert_close(grads[1][name] * ratio, grad, msg=name)


def test_the_state_dict_stays_that_of_the_model():
    plain, (model, method) = (
        create("resnet50", num_classes=5, width=1 / 16),
        Recipe("resnet50", method="wildcat").build(5),
    )
    assert list(plain.state_dict()) == list(model.state_dict())
    assert list(method.state_dict()) == []
    assert (WILDCAT.replaces_pooling, WELDON.replaces_pooling) == (True, True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WILDCAT(maps=0), "maps must be a whole number, at least 1, got 0"),
        (lambda: WILDCAT(maps=True), "maps must be a whole number"),
        (lambda: WILDCAT(k_max=0), "k_max must be a whole number of at least 1, or a share in"),
        (lambda: WILDCAT(k_min=1.5), "k_min must be"),
        (lambda: WILDCAT(k_max=float("nan")), "k_max must be"),
        (lambda: WILDCAT(k_max="3"), "k_max must be"),
        (lambda: WILDCAT(alpha=1.1), "alpha must lie in"),
        (lambda: WELDON(k=-1), "k must be a whole number of at least 1, or a share in"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
