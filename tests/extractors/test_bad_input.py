"""Networks that give no maps, or only seem to: named errors, and never a wrong map in silence."""

import pytest
import torch
from torch import nn

import fastcam
from fastcam.extractors import GradientMapWarning
from fastcam.sources import LoadError

IMAGES = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))


def layers():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    ).eval()


class Returns(nn.Module):
    """Gives something of its logits."""

    def __init__(self, change):
        super().__init__()
        self.net, self.change = layers(), change

    def forward(self, images):
        return self.change(self.net(images))


class Writes(nn.Module):
    """Writes into its features, before they are pooled or behind it."""

    def __init__(self, before=lambda x: x, behind=lambda x: x):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.before, self.behind = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5), before, behind

    def forward(self, images):
        features = self.body(images)
        self.before(features)
        logits = self.head(features.mean((2, 3)))
        self.behind(features)
        return logits


@pytest.mark.parametrize("cam", ["auto", "cam", "grad-cam"])
class TestNoLogits:
    @pytest.mark.parametrize(
        ("change", "shape"),
        [
            (lambda y: y[:, 0], r"\(1,\)"),
            (lambda y: y.sum(), r"\(\)"),
            (lambda y: y[:, None], r"\(1, 1, 5\)"),
            (lambda y: y[:, :, None, None].expand(-1, -1, 4, 4), r"\(1, 5, 4, 4\)"),
            (lambda y: y[:, :0], r"\(1, 0\)"),
            (lambda y: y[:1], r"\(1, 5\)"),
            (lambda y: y.T, r"\(5, 1\)"),
        ],
    )
    def test_of_another_shape(self, cam, change, shape):
        with pytest.raises(ValueError, match=rf"must return logits \(N, K\) with N=[12] images .*got shape {shape}"):
            fastcam.Localizer(Returns(change).eval(), cam=cam).localize(IMAGES)

    @pytest.mark.parametrize(
        ("change", "dtype"),
        [
            (lambda y: y.argmax(1), "int64"),
            (lambda y: y.long(), "int64"),
            (lambda y: y > 0, "bool"),
            (lambda y: torch.complex(y, y), "complex64"),
        ],
    )
    def test_of_another_dtype(self, cam, change, dtype):
        with pytest.raises(TypeError, match=f"must return logits in floating point, got torch.{dtype}"):
            fastcam.Localizer(Returns(change).eval(), cam=cam).localize(IMAGES)

    def test_that_do_not_depend_on_the_images(self, cam):
        model = Returns(lambda y: torch.zeros(len(y), 5)).eval()
        with pytest.raises(ValueError, match=r"no linear map.*the logits do not depend on the images"):
            fastcam.Localizer(model, cam=cam).localize(IMAGES)

    def test_by_names_too(self, cam):
        names = {"features": "net.1"} if cam == "grad-cam" else {"features": "net.1", "classifier": "net.4"}
        with pytest.raises(ValueError, match=r"must return logits \(N, K\)"):
            fastcam.Localizer(Returns(lambda y: y[:, None]).eval(), cam=cam, **names).localize(IMAGES)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda y: y.softmax(1), "a softmax"),
        (lambda y: y.log_softmax(1), "a log-softmax"),
        (lambda y: y.sigmoid(), "a sigmoid"),
    ],
)
def test_probabilities_are_said_to_be_no_logits(change, name):
    model = Returns(change).eval()
    with pytest.warns(GradientMapWarning, match=f"the network returns {name} and no logits: return what goes into it"):
        fastcam.Localizer(model).localize(IMAGES)
    for features in (None, "net.1"):
        with pytest.warns(GradientMapWarning, match=f"layer-cam is defined of logits, and the network returns {name}"):
            fastcam.Localizer(model, features, cam="layer-cam").localize(IMAGES)


class TestFeaturesThatAreWrittenTo:
    @pytest.mark.parametrize("write", [lambda x: x.relu_(), lambda x: x.mul_(2), lambda x: x.add_(1).clamp_(max=1)])
    @pytest.mark.parametrize("cam", ["auto", "grad-cam"])
    def test_before_the_pooling_they_are_what_is_pooled(self, write, cam):
        model = Writes(before=write).eval()
        with torch.no_grad():
            seen = model.body(IMAGES)
            write(seen)
        expected = torch.einsum("c,nchw->nhw", model.head.weight[3].detach(), seen)
        maps = fastcam.Localizer(model, cam=cam).extract(IMAGES, 3).maps(clamp_negative=False)
        expected = expected if cam == "auto" else expected.relu()
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))

    @pytest.mark.parametrize("cam", ["auto", "cam", "grad-cam"])
    def test_behind_the_pooling_they_are_gone(self, cam):
        model = Writes(behind=lambda x: x.zero_()).eval()
        with pytest.raises(ValueError, match="differ from the logits"):
            fastcam.Localizer(model, cam=cam).localize(IMAGES)


class TestSizes:
    @pytest.mark.parametrize("cam", ["auto", "cam"])
    def test_one_position_is_none(self, cam):
        with pytest.raises(ValueError, match=r"one position, on which nothing can be localized \(take larger images\)"):
            fastcam.Localizer(layers(), cam=cam).localize(IMAGES[:, :, :4, :4])

    def test_smaller_than_the_network_takes(self):
        with pytest.raises(LoadError, match=r"no maps of images of \(3, 3\): .*Kernel size can't be greater") as caught:
            fastcam.load(layers(), size=(3, 3), device="cpu")
        assert caught.value.argument == "features"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestWrapped:
    @pytest.mark.parametrize("cam", ["auto", "grad-cam"])
    def test_compiled(self, cam):
        expected = fastcam.Localizer(layers(), cam=cam).localize(IMAGES, 3)[1].boxes
        compiled = torch.compile(layers(), backend="eager")
        assert torch.equal(fastcam.Localizer(compiled, cam=cam).localize(IMAGES, 3)[1].boxes, expected)

    @pytest.mark.parametrize(
        ("wrap", "message"),
        [
            (nn.DataParallel, "nn.DataParallel, .* pass model.module"),
            (torch.jit.script, "scripted or traced"),
            (lambda model: torch.jit.trace(model, IMAGES), "scripted or traced"),
        ],
    )
    def test_what_calls_no_hooks(self, wrap, message):
        for cam in ("auto", "grad-cam"):
            with pytest.raises(ValueError, match=message):
                fastcam.Localizer(wrap(layers()), cam=cam)
        with pytest.raises(LoadError, match=message):
            fastcam.load(wrap(layers()), size=(32, 32))

    def test_a_part_that_is_scripted_or_parallel(self):
        model = layers()
        expected = fastcam.Localizer(model).localize(IMAGES, 3)[1].boxes
        for wrap in (torch.jit.script, nn.DataParallel):
            other = nn.Sequential(wrap(model[:2]), *model[2:]).eval()
            assert torch.equal(fastcam.Localizer(other).localize(IMAGES, 3)[1].boxes, expected)

    def test_a_scripted_network_in_another(self):
        model = nn.Sequential(torch.jit.script(layers())).eval()
        for cam in ("auto", "grad-cam"):
            with pytest.raises(ValueError, match="no module's output or input, so hooks cannot reach it"):
                fastcam.Localizer(model, cam=cam).localize(IMAGES)

    def test_training_mode(self):
        for cam in ("auto", "grad-cam"):
            with pytest.raises(ValueError, match=r"in training mode, .* call model.eval\(\)"):
                fastcam.Localizer(layers().train(), cam=cam).localize(IMAGES)


class ChannelsLast(nn.Module):
    """Maps (N, h, w, C) behind the first layer."""

    def __init__(self, channels):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.body, self.hidden = nn.Conv2d(3, channels, 4, 4), nn.LayerNorm(channels), nn.Linear(channels, 9)
        self.head = nn.Linear(9, 5)

    def forward(self, images):
        features = self.body(self.stem(images).permute(0, 2, 3, 1))
        return self.head(self.hidden(features.mean((1, 2))).tanh())


@pytest.mark.parametrize("channels", [6, 7, 8, 9, 10, 11, 12])
def test_as_many_channels_as_rows_or_columns_are_still_channels(channels):
    # Of 8x12 positions: every reading of these sizes looks like a picture.
    first = nn.Sequential(nn.Conv2d(3, channels, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = nn.Sequential(*first, nn.Linear(channels, 9), nn.Tanh(), nn.Linear(9, 5)).eval()
    assert fastcam.Localizer(model, cam="grad-cam").extract(IMAGES).maps().shape == (2, 8, 12)
    last = fastcam.Localizer(ChannelsLast(channels).eval(), cam="grad-cam")
    assert last.extract(IMAGES).maps().shape == (2, 8, 12)
    assert "(N, h, w, C)" in str(last.inspect(IMAGES))


def test_as_many_channels_as_rows_and_columns_are_those_of_a_convolution():
    model = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 9))
    model = nn.Sequential(*model, nn.Tanh(), nn.Linear(9, 5)).eval()
    found = fastcam.Localizer(model, "1", cam="grad-cam")
    images = IMAGES[:, :, :, :32]
    with torch.enable_grad():
        features = model[:2](images).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(model[2:](features)[:, 3].sum(), features)
    expected = (gradient.sum((2, 3), keepdim=True) * features).sum(1).detach().relu()
    maps = found.extract(images, 3).maps(clamp_negative=False)
    torch.testing.assert_close(maps, expected)
