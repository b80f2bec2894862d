"""Maps of one position explain the logits and say nothing: they never pass in silence."""

import warnings

import pytest
import torch
from classifiers import C, K, Net, Variant
from libraries import library
from torch import nn

import fastcam
from fastcam.extractors import Extractor, HeadMismatchWarning, LinearExtraction, MapExtraction
from fastcam.methods import MethodExtractor, create_method
from fastcam.models import NETWORKS, create


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def refusal(model, features, images, classifier="fc"):
    with pytest.raises(ValueError, match="maps of one position") as caught:
        fastcam.Localizer(model, features, classifier)(images)
    return str(caught.value)


class TestTheAdvice:
    def test_names_the_outermost_module_whose_output_is_pooled(self, model, images):
        message = refusal(model, "pool", images)
        assert message.endswith("name the module whose output is pooled: features='layer4'")
        assert "features='pool' gives maps of one position, (1, 1) for images of (40, 32)" in message
        fastcam.Localizer(model, "layer4")(images)

    @pytest.mark.parametrize("pool", [nn.AdaptiveMaxPool2d(1), fastcam.TAP(0.3, keepdim=True)])
    def test_whatever_the_pooling(self, images, pool):
        assert "features='layer4'" in refusal(Net(pool).eval(), "pool", images)

    def test_names_the_input_where_no_module_gives_what_is_pooled(self, images):
        model = Variant(lambda m, x: m.fc(m.pool(m.layer4[0](m.stem(x)).relu()).flatten(1))).eval()
        assert "features='pool:input'" in refusal(model, "pool", images)
        fastcam.Localizer(model, "pool:input")(images)

    def test_of_a_convolution_as_head(self, images):
        model = Variant(lambda m, x: m.fc(m.pool(m.layer4(m.stem(x)))), fc=nn.Conv2d(C, K, 1)).eval()
        assert "features='layer4'" in refusal(model, "fc:input", images)

    def test_of_a_compiled_model(self, model, images):
        assert "features='layer4'" in refusal(torch.compile(model, backend="eager"), "pool", images)

    def test_says_where_the_last_positions_are_if_something_stands_between(self, images):
        model = Variant(
            lambda m, x: m.fc(m.norm(m.pool(m.layer4(m.stem(x)))).flatten(1)), norm=nn.GroupNorm(2, C)
        ).eval()
        message = refusal(model, "norm", images)
        assert (
            f"the last output with more is that of 'layer4', (3, {C}, 9, 7), which is not what classifier='fc'"
            in message
        )

    def test_of_images_that_are_too_small(self, model):
        assert "that of 'stem', (2, 6, 3, 3)" in refusal(model, "layer4", torch.rand(2, 3, 8, 8))

    def test_changes_nothing(self, images):
        model = Net()
        model.layer4 = nn.Sequential(nn.Conv2d(6, C, 3, stride=2), nn.BatchNorm2d(C), nn.ReLU())
        for training in (True, False):
            model.train(training)
            once = {name: value.clone() for name, value in model.state_dict().items()}
            model(images)  # as one call does
            expected = {name: value.clone() for name, value in model.state_dict().items()}
            model.load_state_dict(once)
            refusal(model, "pool", images)
            assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
            assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules())

    def test_an_image_of_one_pixel_has_no_more(self):
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1)).eval()
        _, found = fastcam.Localizer(model, "0", "2")(torch.rand(2, 3, 1, 1))
        assert found.boxes.shape == (2, 4)


class TestExtractors:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_networks_of_the_library(self, name):
        model = create(name, num_classes=3, width=1 / 16).eval()
        stride = 48 // min(model.forward_features(torch.rand(1, 3, 96, 96)).shape[2:]) * 2
        for size in range(8, 2 * stride + 1, 4):
            images = torch.rand(1, 3, size, size)
            try:
                positions = model.forward_features(images).shape[2:].numel()
            except RuntimeError:  # InceptionV3 takes no image that small
                continue
            if positions == 1:
                with pytest.raises(ValueError, match="maps must have more than one position"):
                    model.localize(images)
            else:
                model.localize(images)

    def test_methods_with_finished_maps(self):
        model, method = create("vgg16", num_classes=3, width=1 / 16).eval(), create_method("acol").eval()
        method.attach(model)
        with pytest.raises(ValueError, match="maps must have more than one position"):
            MethodExtractor(model, method).extract(torch.rand(1, 3, 16, 16))

    def test_an_extractor_of_ones_own(self):
        class Own(Extractor):
            num_classes = 2

            def extract(self, images, index=None, *, top_k=None):  # noqa: ARG002
                logits = torch.rand(len(images), 2)
                return MapExtraction(logits, logits.argmax(1), images.shape[2:], images.mean(1)[:, :1, :1])

        with pytest.raises(ValueError, match=r"got \(1, 1\) for images of \(8, 8\)"):
            Own().localize(torch.rand(2, 3, 8, 8))

    def test_one_row_of_positions_is_enough(self):
        logits, weight = torch.rand(1, 2), torch.rand(2, 4)
        LinearExtraction(logits, logits.argmax(1), (8, 8), torch.rand(1, 4, 1, 2), weight).localize()
        with pytest.raises(ValueError, match="more than one position"):
            LinearExtraction(logits, logits.argmax(1), (8, 8), torch.rand(1, 4, 1, 1), weight)

    def test_a_loaded_network(self):
        network = fastcam.load(Net(), features="pool", classes=list("abcde"), size=(40, 32), device="cpu")
        with pytest.raises(RuntimeError, match=r"maps of one position.*features='layer4'"):
            network.try_out()
        with pytest.raises(ValueError, match="maps of one position"):
            network(torch.rand(3, 20, 30))


class TestTorchvision:
    """The names at the end of a network: what passes without a word has positions."""

    @pytest.mark.parametrize(
        ("name", "right", "classifier"),
        [
            ("resnet18", "layer4", "fc"),
            ("mobilenet_v2", "features", "classifier.1"),
            ("efficientnet_b0", "features", "classifier.1"),
            ("shufflenet_v2_x0_5", "conv5", "fc"),
            ("mnasnet0_5", "layers", "classifier.1"),
            ("regnet_y_400mf", "trunk_output", "fc"),
            ("mobilenet_v3_small", None, "classifier.3"),
            ("convnext_tiny", None, "classifier.2"),
        ],
    )
    def test_no_name_gives_one_position_in_silence(self, name, right, classifier):
        models = library("torchvision.models")
        model = getattr(models, name)(weights=None, num_classes=7).eval()
        images, advised, passed = torch.rand(1, 3, 64, 64), set(), []
        names = [one for one, _ in model.named_modules() if one]
        last = [right or "features", *[one for one in names if one.count(".") <= 1][-6:]]
        for features in [*last, *(f"{one}:input" for one in last)]:
            localizer = fastcam.Localizer(model, features, classifier)
            with warnings.catch_warnings():
                warnings.simplefilter("error", HeadMismatchWarning)
                try:
                    passed.append(localizer.extract(images).features.shape[2:].numel())
                except HeadMismatchWarning:
                    pass
                except (TypeError, ValueError) as error:
                    if "maps of one position" in str(error):
                        advised |= (
                            {str(error).rpartition("features=")[2]} if "is pooled: features=" in str(error) else {None}
                        )
        assert 1 not in passed
        assert bool(passed) == (right is not None)
        assert advised <= {repr(right) if right else None}
