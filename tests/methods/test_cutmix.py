import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fastcam.methods import CutMix
from fastcam.methods.cutmix import mix


def images_that_know_their_number(n, height, width):
    return torch.arange(1.0, n + 1).reshape(n, 1, 1, 1).expand(n, 3, height, width).clone()


@pytest.mark.parametrize("seed", range(8))
def test_pixels_and_share_by_count(seed):
    torch.manual_seed(seed)
    images = images_that_know_their_number(5, 40, 56)
    mixed = mix(images, 1.0)
    y0, x0, y1, x1 = mixed.rectangle
    inside = torch.zeros(40, 56, dtype=torch.bool)
    inside[y0:y1, x0:x1] = True
    for number in range(5):
        own, other = number + 1, int(mixed.order[number]) + 1
        assert (mixed.images[number][:, inside] == other).all()
        assert (mixed.images[number][:, ~inside] == own).all()
    assert mixed.share == pytest.approx(1 - inside.double().mean().item(), abs=1e-12)
    assert sorted(mixed.order.tolist()) == list(range(5))
    assert torch.equal(images, images_that_know_their_number(5, 40, 56))


def test_shares_follow_the_distribution():
    torch.manual_seed(0)
    images = torch.zeros(2, 1, 64, 64)
    shares = torch.tensor([mix(images, 1.0).share for _ in range(4000)])
    # 1 - lambda is uniform with mean 0.5; a square of side s about a uniform centre keeps (s - s**2 / 4)**2 of the
    # image, whose mean over s = sqrt(u) is 1/2 - 1/(2 * 2.5) + 1/48 = 0.3208. Whole pixels take a little off.
    assert 1 - shares.mean().item() == pytest.approx(0.3208, abs=0.02)


def test_the_loss_shares_the_label_by_area():
    torch.manual_seed(3)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 7))
    images, labels = torch.rand(6, 3, 32, 32), torch.arange(6)
    torch.manual_seed(9)
    outcome = CutMix()(model, images, labels)
    torch.manual_seed(9)
    torch.rand(())  # whether to mix
    mixed = mix(images, 1.0)
    soft = torch.zeros(6, 7)
    for number in range(6):
        soft[number, labels[number]] += mixed.share
        soft[number, labels[mixed.order[number]]] += 1 - mixed.share
    torch.testing.assert_close(outcome.loss, F.cross_entropy(model(mixed.images), soft))


def test_probability():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images, labels = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 0])
    plain = F.cross_entropy(model(images), labels)
    assert torch.equal(CutMix(probability=0)(model, images, labels).loss, plain)


@pytest.mark.parametrize("arguments", [{"beta": 0}, {"probability": 1.5}])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="must"):
        CutMix(**arguments)
