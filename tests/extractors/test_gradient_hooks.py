"""How features are held for gradient maps: in outputs and inputs, by one thread, and where nothing can be held."""

from __future__ import annotations

import threading
from collections import OrderedDict, namedtuple

import pytest
import torch
from gradient_network import IMAGES, LABELS, Net, found, model
from torch import Tensor, nn

import fastcam
from fastcam.extractors.gradient import class_gradients, watched

Pair = namedtuple("Pair", "maps other")
OUTPUTS = {
    "tuple": lambda x: (x, 1),
    "list": lambda x: ["first", x],
    "named tuple": lambda x: Pair(x, None),
    "dictionary": lambda x: {"other": 2, "maps": x},
    "ordered dictionary": lambda x: OrderedDict(maps=x),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_features_within_an_output(kind: str) -> None:
    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model().body

        def forward(self, images: Tensor) -> object:
            return OUTPUTS[kind](self.body(images))

    class Whole(Net):
        def forward(self, images: Tensor) -> Tensor:
            given = self.inside(images)
            values = given.values() if isinstance(given, dict) else given
            features = next(one for one in values if isinstance(one, Tensor))
            return self.head(self.tail(self.act(features)).mean((2, 3)))  # type: ignore[no-any-return]

    net = Whole().eval()
    net.inside = Inside().eval()
    maps = fastcam.Localizer(net, "inside", cam="grad-cam").extract(IMAGES, LABELS).maps()
    torch.testing.assert_close(maps, found(model()).maps())


def test_logits_that_do_not_come_from_the_features() -> None:
    class Cut(Net):
        cut = False

        def run_tail(self, features: Tensor) -> Tensor:
            return self.tail(features.detach() if self.cut else features)  # type: ignore[no-any-return]

    net = Cut().eval().requires_grad_(False)
    localizer = fastcam.Localizer(net, "body", cam="grad-cam")
    localizer.extract(IMAGES)
    net.cut = True
    with pytest.raises(ValueError, match=r"no gradient map of features='body': .*nothing of that was recorded"):
        localizer.extract(IMAGES)
    net.requires_grad_(True)
    with pytest.raises(ValueError, match=r"no gradient map of features='body': .*do not depend on the features"):
        localizer.extract(IMAGES)


def test_threads_do_not_hear_each_other() -> None:
    net = model()
    localizer = fastcam.Localizer(net, "body", cam="grad-cam")
    localizer.extract(IMAGES)
    batches = [torch.rand(2, 3, 24, 36, generator=torch.Generator().manual_seed(n)) for n in range(4)]
    wanted = [localizer.extract(batch, 1).maps() for batch in batches]
    maps: dict[int, Tensor] = {}
    threads = [
        threading.Thread(target=lambda n=n: maps.update({n: localizer.extract(batches[n], 1).maps()})) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(4):
        torch.testing.assert_close(maps[n], wanted[n])


def test_inspect_keeps_the_features_that_were_named() -> None:
    localizer = fastcam.Localizer(model(), "act", cam="grad-cam")
    assert localizer.inspect(IMAGES).features == "act"
    assert fastcam.Localizer(model(), cam="grad-cam").inspect(IMAGES).features != "act"


class ByKeyword(nn.Module):
    def forward(self, *, features: Tensor, scale: float) -> Tensor:
        return features.sum((2, 3)) * scale


def test_an_input_by_keyword_is_followed() -> None:
    module, features = ByKeyword(), torch.rand(2, 4, 3, 3)
    with torch.no_grad(), watched(module, reads_input=True) as held:
        logits = module(features=features, scale=3.0)
        (gradient,) = class_gradients(logits, torch.tensor([1, 2]), held[0])
    assert torch.equal(held[0].detach(), features)
    expected = torch.zeros(2, 4, 3, 3)
    expected[0, 1] = expected[1, 2] = 3
    assert torch.equal(gradient, expected)


def test_an_index_outside_has_no_gradient() -> None:
    features = torch.rand(2, 4, 3, 3, requires_grad=True)
    (gradient,) = class_gradients(features.sum((2, 3)), torch.tensor([4, -1]), features)
    assert not gradient.any()
