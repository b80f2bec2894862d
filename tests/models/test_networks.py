"""Every network: its size and names, its maps, its head, and where methods attach."""

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from original_names import (
    PUBLISHED,
    inception_v3,
    linear,
    mobilenetv1_100,
    parameters,
    resnet50,
    seresnet50,
    tf_efficientnet_lite0,
    vgg16,
)
from torch import nn

import fastcam
from fastcam.models import NETWORKS, Classifier, create
from fastcam.pooling import GAP, GMP, LSE, gap, gmp, lse

GOLDEN = Path(__file__).parent / "golden"
ORIGINALS = {
    "vgg16": vgg16,
    "resnet50": resnet50,
    "resnet50-se": seresnet50,
    "mobilenetv1": mobilenetv1_100,
    "googlenet": inception_v3,
    "efficientnet-lite0": tf_efficientnet_lite0,
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def tiny(name, **options):
    torch.manual_seed(0)
    return create(name, **{"num_classes": 7, "width": 1 / 16, **options}).eval()


def on_meta(name, **options):
    with torch.device("meta"):
        return create(name, **options)


def shapes(model):
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def batch(size=64):
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


class TestSizeAndNames:
    @every_network
    def test_golden(self, name):
        golden = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
        model = on_meta(name)
        assert {key: list(shape) for key, shape in shapes(model).items()} == golden["state_dict"]
        assert list(shapes(model)) == list(golden["state_dict"])
        assert sum(one.numel() for one in model.parameters()) == golden["parameters"]

    @pytest.mark.parametrize("original", [*ORIGINALS.values()])
    def test_the_originals_are_written_out_rightly(self, original):
        assert parameters(original()) == PUBLISHED[original.__name__]

    @pytest.mark.parametrize("name", ["resnet50", "resnet50-se", "mobilenetv1", "efficientnet-lite0"])
    def test_it_is_the_original_but_for_its_strides(self, name):
        original = {key.replace("fc.", "classifier.", 1) if key.startswith("fc.") else key: shape
                    for key, shape in ORIGINALS[name]().items()}  # fmt: skip
        assert shapes(on_meta(name)) == original

    def test_vgg16_has_another_convolution_for_the_fully_connected_layers(self):
        kept = {key: shape for key, shape in vgg16().items() if key.startswith("features.")}
        added = {"conv6.weight": (1024, 512, 3, 3), "conv6.bias": (1024,)} | linear("classifier", 1000, 1024)
        assert shapes(on_meta("vgg16")) == kept | added
        # conv6: 1024 filters of 512x3x3 and a bias; classifier: 1000 rows of 1024 and a bias.
        fully_connected = (512 * 49 + 1) * 4096 + 4097 * 4096 + 4097 * 1000
        assert parameters(kept | added) == PUBLISHED["vgg16"] - fully_connected + (512 * 9 + 1) * 1024 + 1025 * 1000

    def test_googlenet_ends_at_mixed_6e_and_has_two_more_convolutions(self):
        kept = {
            key: shape for key, shape in inception_v3().items() if not key.startswith(("AuxLogits", "Mixed_7", "fc."))
        }
        added = {"SPG_A3_1b.0.weight": (1024, 768, 3, 3), "SPG_A3_1b.0.bias": (1024,)}
        added |= {"SPG_A3_2b.0.weight": (1024, 1024, 3, 3), "SPG_A3_2b.0.bias": (1024,)}
        assert shapes(on_meta("googlenet")) == kept | added | linear("classifier", 1000, 1024)

    @every_network
    def test_num_classes(self, name):
        model = on_meta(name, num_classes=200)
        assert model.classifier.weight.shape == (200, on_meta(name).classifier.in_features)

    def test_the_reduction_of_squeeze_and_excitation_is_16(self):
        model = on_meta("resnet50-se")
        squeezes = [one for key, one in model.named_modules() if key.endswith(".se.fc1")]
        assert len(squeezes) == 16
        assert {one.in_channels / one.out_channels for one in squeezes} == {16}


class TestMaps:
    @every_network
    def test_14_by_14(self, name):
        options = {"last_stride": 1} if name == "efficientnet-lite0" else {}
        model = on_meta(name, **options)
        features = model.forward_features(torch.empty(2, 3, 224, 224, device="meta"))
        assert features.shape == (2, model.classifier.in_features, 14, 14)

    @pytest.mark.parametrize("name", ["vgg16", "resnet50", "resnet50-se", "googlenet"])
    def test_28_by_28_on_request(self, name):
        model = on_meta(name, large_feature_map=True)
        assert shapes(model) == shapes(on_meta(name))
        assert model.forward_features(torch.empty(2, 3, 224, 224, device="meta")).shape[2:] == (28, 28)

    @pytest.mark.parametrize(("size", "stride", "cells"), [(224, 2, 7), (208, 1, 13), (225, 1, 15)])
    def test_efficientnet_rounds_up(self, size, stride, cells):
        model = on_meta("efficientnet-lite0", last_stride=stride)
        assert model.forward_features(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1280, cells, cells)

    @every_network
    def test_they_are_not_negative(self, name):
        assert (tiny(name).train().forward_features(batch()) >= 0).all()


class TestHead:
    @every_network
    @pytest.mark.parametrize("pooling", ["gap", "tap", "gmp", "lse"])
    def test_forward_is_the_linear_layer_of_the_pooled_features(self, name, pooling):
        model = tiny(name, pooling=pooling)
        pool = {"gap": gap, "gmp": gmp, "lse": lse, "tap": lambda x: fastcam.tap(x, model.tap_threshold)}[pooling]
        features = model.forward_features(batch())
        logits = model(batch())
        assert torch.equal(logits, model.forward_head(features))
        expected = pool(features) @ model.classifier.weight.T + model.classifier.bias
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
        assert logits.shape == (2, 7)

    def test_the_paper_s_thresholds(self):
        expected = {"vgg16": 0.1, "mobilenetv1": 0.1, "resnet50": 0.0, "resnet50-se": 0.0, "googlenet": 0.0}
        for name, threshold in expected.items():
            assert tiny(name, pooling="tap").pool.threshold == threshold
        assert tiny("vgg16", pooling="tap", tap_threshold=0.3).pool.threshold == 0.3

    def test_the_poolings_are_modules(self):
        kinds = [type(tiny("vgg16", pooling=one).pool) for one in ("gap", "tap", "gmp", "lse")]
        assert kinds == [GAP, fastcam.TAP, GMP, LSE]
        own = LSE(r=2)
        assert tiny("vgg16", pooling=own).pool is own

    @every_network
    def test_gradients_reach_every_parameter(self, name):
        model = tiny(name, pooling="tap", width=1 / 8).train()
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):  # some of ResNet50's start at 0, and hide what is before them
                nn.init.uniform_(part.weight, 0.5, 1.5)
        nn.functional.cross_entropy(model(batch()), torch.tensor([0, 6])).backward()
        without = [key for key, one in model.named_parameters() if one.grad is None or not one.grad.isfinite().all()]
        assert without == []
        still = [key for key, one in model.named_parameters() if not one.grad.any()]
        # A bias in front of a batch normalization would be still; none is.
        assert still == []


class TestLocalize:
    @every_network
    def test_it_is_localize_on_the_features(self, name):
        model = tiny(name, pooling="tap")
        options = {"protocol": fastcam.AUTHORS, "threshold": 0.5, "return_maps": True, "return_masks": True}
        logits, found = model.localize(batch(), [3, 5], size=(100, 80), **options)
        with torch.no_grad():
            features = model.forward_features(batch())
        expected = fastcam.localize(features, model.classifier.weight, [3, 5], size=(100, 80), **options)
        assert torch.equal(logits, model(batch()))
        for field in ("boxes", "areas", "thresholds", "labels", "maps", "masks"):
            assert torch.equal(getattr(found, field), getattr(expected, field)), field
        assert torch.equal(found.scores, logits.softmax(1)[[0, 1], [3, 5]])

    @pytest.mark.parametrize("pooling", ["gap", "tap", "gmp", "lse"])
    def test_a_localizer_finds_the_same_and_its_check_of_the_head_is_content(self, pooling):
        model = tiny("mobilenetv1", pooling=pooling)
        logits, found = model.localize(batch(), top_k=2)
        # Were the map not the classifier's, it would warn, and warnings are errors here.
        others, theirs = fastcam.Localizer(model, features="pool:input", classifier="classifier")(batch(), top_k=2)
        assert torch.equal(logits, others)
        assert torch.equal(found.boxes, theirs.boxes)
        assert torch.equal(found.labels, logits.topk(2).indices)

    def test_the_best_class_at_the_size_of_the_images_and_no_graph(self):
        model = tiny("vgg16")
        logits, found = model.localize(batch())
        assert torch.equal(found.labels, logits.argmax(1))
        assert (found.boxes <= 64).all()
        assert not logits.requires_grad
        assert model.localize(torch.rand(0, 3, 64, 64))[1].boxes.shape == (0, 4)

    @pytest.mark.parametrize(
        ("images", "options", "error", "message"),
        [
            (torch.rand(3, 64, 64), {}, ValueError, r"images must be \(N, 3, H, W\), got shape \(3, 64, 64\)"),
            ([1], {}, TypeError, "images must be a tensor"),
            (batch(), {"index": [1, 2], "top_k": 2}, ValueError, "index and top_k exclude each other"),
            (batch(), {"index": [1, 7]}, ValueError, r"index must lie in \[0, 7\), got 7"),
            (batch(), {"top_k": 8}, ValueError, r"top_k must lie in \[1, 7\]"),
        ],
    )
    def test_bad_input(self, images, options, error, message):
        with pytest.raises(error, match=message):
            tiny("vgg16").localize(images, **options)


class TestWhereMethodsAttach:
    @every_network
    def test_the_positions_are_modules_in_the_order_of_the_forward_pass(self, name):
        model, called = tiny(name), []
        places = {key: model.get_submodule(key) for key in (*model.adl_positions, *(model.spg_positions or {}))}
        for key, module in places.items():
            module.register_forward_hook(lambda _, __, output, key=key: called.append((key, output.shape[1])))
        model(batch())
        order = [key for key, _ in called]
        assert sorted(order) == sorted(places)
        assert [key for key in order if key in model.adl_positions] == list(model.adl_positions)
        if model.spg_positions is not None:
            assert [(key, n) for key, n in called if key in model.spg_positions] == [*model.spg_positions.items()]

    def test_they_are_those_of_the_literature(self):
        assert tiny("resnet50").adl_positions == tiny("resnet50-se").adl_positions
        assert tiny("googlenet").adl_positions == ("Mixed_5d", "Mixed_6e", "SPG_A3_2b")
        features = tiny("vgg16").features
        pool3, conv4_3, conv5_3 = (int(key.split(".")[1]) for key in tiny("vgg16").adl_positions)
        pools = [number for number, part in enumerate(features) if isinstance(part, nn.MaxPool2d)]
        assert pool3 == pools[2]
        assert conv4_3 == pools[3] - 1
        assert conv5_3 == len(features) - 1
        assert {name for name in NETWORKS if tiny(name).spg_positions} == {
            "vgg16", "resnet50", "resnet50-se", "googlenet",
        }  # fmt: skip

    @every_network
    def test_a_hook_there_changes_the_logits_and_gets_a_gradient(self, name):
        model = tiny(name)
        before = model(batch())
        scale = torch.ones((), requires_grad=True)
        for key in model.adl_positions:
            model.get_submodule(key).register_forward_hook(lambda _, __, output: output * (scale / 2))
        after = model(batch())
        assert not torch.equal(before, after)
        after.sum().backward()
        assert scale.grad.isfinite()
        assert scale.grad != 0

    @every_network
    def test_backbone_and_neck_make_the_features(self, name):
        model = tiny(name)
        backbone = model.forward_backbone(batch())
        assert backbone.shape[1] == model.backbone_channels
        assert torch.equal(model.forward_neck(backbone), model.forward_features(batch()))


class TestLife:
    @every_network
    def test_state_dict_round_trip(self, name):
        model, other = tiny(name, pooling="tap"), create(name, num_classes=7, width=1 / 16).eval()
        other.load_state_dict(model.state_dict())
        other.pool = model.pool
        assert torch.equal(model(batch()), other(batch()))

    @every_network
    def test_the_seed_decides(self, name):
        one, two = tiny(name).state_dict(), tiny(name).state_dict()
        assert all(torch.equal(one[key], two[key]) for key in one)

    def test_the_blocks_of_a_resnet_start_as_their_shortcuts(self):
        block = tiny("resnet50-se").layer3[1]
        x = torch.rand(2, 64, 4, 4)
        assert torch.equal(block(x), x)

    def test_copies_and_pickles(self):
        model = tiny("resnet50-se", pooling="tap")
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(model(batch()), other(batch()))

    def test_dropout_of_googlenet_is_off_in_eval_mode_and_can_be_left_out(self):
        model = tiny("googlenet").train()
        assert not torch.equal(model.forward_features(batch()), model.forward_features(batch()))
        without = tiny("googlenet", dropout=0.0).train()
        assert torch.equal(without.forward_features(batch()), without.forward_features(batch()))


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "options", "error", "message"),
        [
            ("vgg", {}, ValueError, "name='vgg' is no network; did you mean 'vgg16'"),
            ("transformer", {}, ValueError, "there are vgg16, resnet50, resnet50-se"),
            (3, {}, ValueError, "name=3 is no network"),
            (
                "mobilenetv1",
                {"large_feature_map": True},
                TypeError,
                "mobilenetv1 has no option 'large_feature_map'; it",
            ),
            (
                "vgg16",
                {"pooling": "avg"},
                ValueError,
                "pooling must be 'tap', 'gap', 'gmp', 'lse' or a module, got 'avg'",
            ),
            (
                "vgg16",
                {"tap_threshold": 0.1},
                ValueError,
                "tap_threshold=0.1 goes with pooling='tap', got pooling='gap'",
            ),
            ("vgg16", {"pooling": "tap", "tap_threshold": 1.0}, ValueError, r"threshold must lie in \[0, 1\), got 1.0"),
            ("vgg16", {"num_classes": 0}, ValueError, "num_classes must be a positive integer, got 0"),
            ("vgg16", {"num_classes": 2.0}, ValueError, "num_classes must be a positive integer, got 2.0"),
            ("vgg16", {"width": 0}, ValueError, r"width must be a number in \(0, 8\], got 0"),
            ("vgg16", {"width": "1"}, ValueError, r"width must be a number in \(0, 8\], got '1'"),
            ("efficientnet-lite0", {"last_stride": 3}, ValueError, "last_stride must be 1 or 2, got 3"),
            ("googlenet", {"dropout": 2.0}, ValueError, "dropout probability has to be between 0 and 1"),
        ],
    )
    def test_it_is_named(self, name, options, error, message):
        with pytest.raises(error, match=message), torch.device("meta"):
            create(name, **options)

    def test_the_base_class_is_no_network(self):
        with pytest.raises(TypeError, match=r"abstract class Classifier .*forward_backbone"):
            Classifier()
        with pytest.raises(ValueError, match="Classifier has no ImageNet weights"):
            Classifier.imagenet_file()
