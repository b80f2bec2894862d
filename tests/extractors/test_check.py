"""Which heads explain a model's logits."""

import pytest
import torch
from classifiers import C, K, N, Net, Variant
from torch import nn

import fastcam
from fastcam.extractors import HeadMismatchWarning
from fastcam.extractors.check import mismatch
from fastcam.extractors.head import head_weight
from fastcam.pooling import LSE, lse


@pytest.fixture
def parts():
    torch.manual_seed(0)
    head, features = nn.Linear(64, 10), torch.rand(4, 64, 7, 7)
    return head, features


def explain(head, features, pooled, model=None, logits=None):
    with torch.no_grad():
        logits = head(pooled) if logits is None else logits
        return mismatch(model or head, features, pooled, head.weight, head.bias, logits)


def test_weight_of_a_convolution_is_not_copied():
    head = nn.Conv2d(8, 3, 1)
    assert head_weight(head, "head").shape == (3, 8)
    assert head_weight(head, "head").data_ptr() == head.weight.data_ptr()


@pytest.mark.parametrize("pool", [lambda x: x.mean((2, 3)), lambda x: x.amax((2, 3))])
def test_mean_and_maximum_explain(parts, pool):
    head, features = parts
    assert explain(head, features, pool(features)) is None


def test_tap_explains_where_the_model_has_it(parts):
    head, features = parts
    pooled = fastcam.tap(features, 0.3)
    assert explain(head, features, pooled, nn.Sequential(fastcam.TAP(0.3), head)) is None
    assert "pooling: mean, TAP(0.1), max" in explain(head, features, pooled, nn.Sequential(fastcam.TAP(0.1), head))


def test_lse_explains_where_the_model_has_it(parts):
    head, features = parts
    pooled = lse(features, 2.0)
    assert explain(head, features, pooled, nn.Sequential(LSE(2.0), head)) is None
    assert "pooling: mean, LSE(5), max" in explain(head, features, pooled, nn.Sequential(LSE(), head))


def test_no_bias(parts):
    _, features = parts
    head = nn.Linear(64, 10, bias=False)
    assert explain(head, features, features.mean((2, 3))) is None


def test_a_forgotten_bias_is_found(parts):
    head, features = parts
    pooled = features.mean((2, 3))
    reason = explain(head, features, pooled, logits=(head(pooled) - head.bias).detach())
    assert f"by up to {head.bias.abs().max():.3g}" in reason
    assert "the logits are not its plain output" in reason


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounding_but_a_wrong_pooling_is_not(parts, dtype):
    head, features = parts
    head, features = head.to(dtype), features.to(dtype)
    assert explain(head, features, features.mean((2, 3))) is None
    assert explain(head, features, features.square().mean((2, 3))) is not None


class TestTheCheck:
    @pytest.mark.parametrize(
        "pool", [nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1), fastcam.TAP(0.1), fastcam.TAP(0.0, keepdim=True)]
    )
    def test_poolings_whose_map_is_the_classifiers(self, pool, images):
        fastcam.Localizer(Net(pool).eval())(images)  # a mismatch would be a warning, which is an error here

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_rounding_is_no_mismatch(self, dtype):
        images = torch.rand(16, 3, 64, 64, dtype=dtype)
        _, found = fastcam.Localizer(Net().eval().to(dtype))(images)
        assert found.boxes.dtype == found.scores.dtype == torch.float32

    def test_autocast_is_no_mismatch(self, images):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, found = fastcam.Localizer(Net().eval(), "layer4", "fc")(images)
        assert logits.dtype == torch.bfloat16
        assert found.boxes.shape == (N, 4)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_another_layer_between_is_said_once(self, dtype, images):
        model = Variant(lambda m, x: m.fc(m.norm(m.layer4(m.stem(x)).mean((2, 3)))), norm=nn.LayerNorm(C))
        model.eval().to(dtype)
        localizer = fastcam.Localizer(model, "layer4", "fc")
        with pytest.warns(HeadMismatchWarning) as caught:
            localizer(images.to(dtype))
        assert caught[0].filename == __file__
        message = str(caught[0].message)
        assert "features='layer4', classifier='fc'" in message
        assert "not that of this classifier" in message
        assert "differ from the logits by up to" in message
        assert "what the classifier receives is not the pooling of these features" in message
        localizer(images.to(dtype))

    def test_output_that_is_not_logits(self, images):
        model = Variant(lambda m, x: Net.forward(m, x).softmax(1)).eval()
        with pytest.warns(HeadMismatchWarning, match="the logits are not its plain output"):
            fastcam.Localizer(model, "layer4", "fc")(images)

    def test_activation_after_a_convolution_as_head(self, images):
        def forward(m, x):
            return m.fc(m.layer4(m.stem(x))).relu().mean((2, 3))

        with pytest.warns(HeadMismatchWarning, match="runs before the pooling, and more than a pooling follows it"):
            fastcam.Localizer(Variant(forward, fc=nn.Conv2d(C, K, 1)).eval(), "layer4", "fc")(images)

    def test_wrong_module(self, images):
        model = Variant(lambda m, x: m.fc(m.pool(m.more(m.layer4(m.stem(x)))).flatten(1)), more=nn.Conv2d(C, C, 3))
        with pytest.warns(HeadMismatchWarning, match="is not the pooling of these features"):
            fastcam.Localizer(model.eval(), "layer4", "fc")(images)
        fastcam.Localizer(model, features="more")(images)

    def test_training_mode_with_dropout_puts_it_off(self, images):
        model = Net(dropout=0.5)
        localizer = fastcam.Localizer(model, "layer4", "fc")
        with pytest.warns(HeadMismatchWarning, match=r"not checked, because the model is in training mode"):
            localizer(images)
        localizer(images)  # said once
        assert model.training
        model.eval()
        localizer(images)  # checked, and found right

    def test_put_off_is_not_called_off(self, images):
        model = Variant(lambda m, x: m.fc(m.dropout(m.layer4(m.stem(x)).sqrt().mean((2, 3)))))
        localizer = fastcam.Localizer(model, "layer4", "fc")
        with pytest.warns(HeadMismatchWarning, match="training mode"):
            localizer(images)
        model.eval()
        with pytest.warns(HeadMismatchWarning, match="not that of this classifier"):
            localizer(images)

    def test_training_mode_without_dropout_is_checked(self, images):
        fastcam.Localizer(Net().train(), "layer4", "fc")(images)

    def test_logits_that_are_not_finite_prove_nothing(self, model, images):
        localizer = fastcam.Localizer(model, "layer4", "fc")
        localizer(torch.full_like(images, torch.nan))
        model.fc.register_forward_hook(lambda _, __, output: output + 1)
        with pytest.warns(HeadMismatchWarning):
            localizer(images)
