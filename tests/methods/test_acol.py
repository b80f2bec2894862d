import torch
from torch.nn import functional as F

import fastcam
from fastcam.methods import ACoL
from fastcam.methods.acol import erase
from fastcam.methods.spread import spread
from fastcam.models import create


def attached(threshold=0.7):
    torch.manual_seed(0)
    model, method = create("vgg16", num_classes=3, width=1 / 16), ACoL(threshold)
    method.attach(model)
    return model, method


def test_erase_by_hand():
    features = torch.ones(1, 2, 2, 2)
    attention = torch.tensor([[[0.0, 0.69], [0.7, 1.0]]])
    assert erase(features, attention, 0.7).tolist() == [[[[1, 1], [0, 0]]] * 2]


def test_a_constant_map_spreads_to_zero():
    assert (spread(torch.full((1, 3, 3), 5.0)) == 0).all()


def test_the_loss_is_that_of_both_classifiers():
    model, method = attached()
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    outcome = method(model, images, labels)
    backbone = model.forward_backbone(images)
    features = model.forward_neck(backbone)
    maps = torch.stack(
        [(model.classifier.weight[k][:, None, None] * f).sum(0) for k, f in zip(labels, features, strict=True)]
    )
    attention = spread(maps)
    erased = backbone * (attention < 0.7)[:, None]
    second = method.classifier(method.neck(erased).mean((2, 3)))
    wanted = F.cross_entropy(model(images), labels) + F.cross_entropy(second, labels)
    torch.testing.assert_close(outcome.loss, wanted)
    torch.testing.assert_close(outcome.logits, model(images))


def test_the_second_classifier_learns_nothing_of_what_is_erased():
    model, method = attached(threshold=0.0)  # erases everything
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    plain = torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))
    both = torch.autograd.grad(method(model, images, labels).loss, list(model.parameters()))
    for ours, theirs in zip(both, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_map_is_the_larger_of_both():
    model, method = attached()
    model.eval()
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    with torch.no_grad():
        backbone = model.forward_backbone(images)
        first = model.forward_neck(backbone)
        at = torch.arange(2), labels
        a = spread(torch.einsum("nchw,kc->nkhw", first, model.classifier.weight)[at])
        second = method.neck(backbone * (a < 0.7)[:, None])
        positive = [layer.weight.clamp(min=0) for layer in (model.classifier, method.classifier)]
        maps = [spread(torch.einsum("nchw,kc->nkhw", f, w)[at]) for f, w in zip((first, second), positive, strict=True)]
    extraction = method.extract(model, images, labels)
    logits, found = extraction.logits, extraction.localize()
    wanted = fastcam.boxes_from_maps(torch.maximum(*maps), size=(64, 64))
    torch.testing.assert_close(found.boxes, wanted.boxes, atol=1, rtol=0)
    torch.testing.assert_close(logits, model(images))


def test_several_classes_are_those_one_by_one():
    model, method = attached()
    model.eval()
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([[0, 2], [1, 0]])
    both = method.extract(model, images, labels)
    for column in range(2):
        one = method.extract(model, images, labels[:, column])
        assert torch.equal(both.maps()[:, column], one.maps())
        assert torch.equal(both.localize().boxes[:, column], one.localize().boxes)
        assert torch.equal(both.localize().scores[:, column], one.localize().scores)
    assert not torch.equal(both.maps(clamp_negative=False), both.maps())
