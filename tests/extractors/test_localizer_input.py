"""What Localizer refuses, and what it says."""

import warnings

import pytest
import torch
from classifiers import C, K, N, Net, Variant
from torch import nn

import fastcam


class Tokens(nn.Module):
    def forward(self, x):
        return x.flatten(2).transpose(1, 2)


class ChannelsLast(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


class TestBadInput:
    @pytest.mark.parametrize(
        ("features", "classifier", "message"),
        [
            ("layer5", "fc", r"features='layer5' is no module of Net; close to it: 'layer4'"),
            ("layer4", "fcc", r"classifier='fcc' is no module of Net; close to it: 'fc'"),
            ("zzz", "fc", r"features='zzz' is no module of Net; it has 'stem', 'layer4'"),
            ("", "fc", r"features='' is no module"),
            ("fc.weight", "fc", r"features='fc.weight' is no module"),
            ("layer4:output", "fc", r"features='layer4:output': after the colon only 'input' may stand"),
            ("layer4", "pool", r"classifier='pool' must name a linear layer or a 1x1 convolution, got AdaptiveAvg"),
            ("layer4", "stem", r"classifier='stem' must name .*weight of shape \(6, 3, 3, 3\)"),
        ],
    )
    def test_names(self, model, features, classifier, message):
        with pytest.raises(ValueError, match=message):
            fastcam.Localizer(model, features, classifier)

    def test_a_classifier_that_contains_the_layer(self):
        model = Variant(lambda m, x: m.fc(x), fc=nn.Sequential(nn.Dropout(), nn.Linear(C, K)))
        with pytest.raises(ValueError, match=r"did you mean 'fc\.1'\?"):
            fastcam.Localizer(model, classifier="fc")

    def test_data_parallel(self, model):
        with pytest.raises(ValueError, match=r"nn\.DataParallel.*pass model\.module"):
            fastcam.Localizer(nn.DataParallel(model))

    def test_not_a_model(self):
        with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got function"):
            fastcam.Localizer(lambda x: x)

    def test_a_module_instead_of_its_name(self, model):
        with pytest.raises(TypeError, match="features must be the name of a module, got Sequential"):
            fastcam.Localizer(model, model.layer4)
        with pytest.raises(TypeError, match="classifier must be the name of a module, got Linear"):
            fastcam.Localizer(model, "layer4", model.fc)

    def test_images(self, model):
        localizer = fastcam.Localizer(model)
        with pytest.raises(TypeError, match=r"images must be a tensor .* got list"):
            localizer([[1.0]])
        with pytest.raises(ValueError, match=r"images must be \(N, 3, H, W\), got shape \(3, 40, 32\)"):
            localizer(torch.rand(3, 40, 32))

    @pytest.mark.parametrize(
        ("index", "error"),
        [
            ([0, 1], ValueError),
            ([[0], [1]], ValueError),
            (torch.zeros(N, 1, 1, dtype=torch.int64), ValueError),
            (K, ValueError),
            ([0, 0, -1], ValueError),
            ([0.0] * N, TypeError),
            ([True] * N, TypeError),
            ("cat", TypeError),
            ([[0], [1, 2], [3]], TypeError),
        ],
    )
    def test_index(self, model, images, index, error):
        with pytest.raises(error, match="index must"):
            fastcam.Localizer(model)(images, index)

    @pytest.mark.parametrize(
        ("top_k", "error"), [(0, ValueError), (K + 1, ValueError), (1.0, TypeError), (True, TypeError)]
    )
    def test_top_k(self, model, images, top_k, error):
        with pytest.raises(error, match="top_k must"):
            fastcam.Localizer(model)(images, top_k=top_k)

    def test_top_k_and_index(self, model, images):
        with pytest.raises(ValueError, match="exclude each other"):
            fastcam.Localizer(model)(images, 1, top_k=1)

    @pytest.mark.parametrize(
        ("module", "message"),
        [
            (Tokens(), rf"must give \(N, C, h, w\) with N={N} images and C={C} columns .* got shape \({N}, 63, {C}\)"),
            (ChannelsLast(), r"got shape .*its channels come last"),
        ],
    )
    def test_features_of_another_shape(self, images, module, message):
        model = Variant(lambda m, x: m.fc(m.odd(m.layer4(m.stem(x))).flatten(1, -2).mean(1)), odd=module).eval()
        with pytest.raises(ValueError, match=message):
            fastcam.Localizer(model, features="odd")(images)

    def test_features_of_another_width(self, model, images):
        with pytest.raises(ValueError, match=rf"C={C} columns of the weight of classifier='fc', got shape \({N}, 6,"):
            fastcam.Localizer(model, features="stem")(images)

    def test_features_that_are_no_tensor(self, images):
        model = Variant(lambda m, x: m.fc(m.pair(m.layer4(m.stem(x)))[0].mean((2, 3))), pair=Pair()).eval()
        with pytest.raises(TypeError, match=r"features='pair' must give a tensor \(N, C, h, w\), got tuple"):
            fastcam.Localizer(model, features="pair")(images)

    def test_a_module_that_is_not_called(self, model, images):
        model.spare = nn.Identity()
        with pytest.raises(RuntimeError, match="features='spare' was not called"):
            fastcam.Localizer(model, features="spare")(images)

    def test_output_without_logits(self, images):
        for wrap in (lambda x: (x, x), lambda x: (x[None],), lambda x: {"a": x, "b": x}):
            model = Variant(lambda m, x, wrap=wrap: wrap(Net.forward(m, x))).eval()
            with pytest.raises(TypeError, match=r"must return logits, or an object with \.logits, got (tuple|dict)"):
                fastcam.Localizer(model)(images)

    @pytest.mark.parametrize("wrap", [lambda out: (out,), lambda out: {"logits": out, "features": out[:, :1]},
                                      lambda out: {"scores": out}, lambda out: [out]])  # fmt: skip
    def test_logits_in_a_container(self, model, images, wrap):
        wrapped = Variant(lambda m, x: wrap(Net.forward(m, x))).eval()
        wrapped.load_state_dict(model.state_dict())
        logits, found = fastcam.Localizer(wrapped)(images)
        expected = fastcam.Localizer(model)(images)
        assert torch.equal(logits, expected[0])
        assert torch.equal(found.boxes, expected[1].boxes)

    def test_logits_of_another_classifier(self, images):
        model = Variant(lambda m, x: m.more(Net.forward(m, x)), more=nn.Linear(K, 2)).eval()
        with pytest.raises(ValueError, match=rf"logits \(N, K\) with N={N} images and K={K} .* got shape \({N}, 2\)"):
            fastcam.Localizer(model, "layer4", "fc")(images)

    def test_a_nan_image_gives_an_empty_box(self, model, images):
        images[1] = torch.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            _, found = fastcam.Localizer(model)(images)
        assert found.boxes[1].tolist() == [0, 0, 0, 0]
        assert found.scores[1].isnan()
        assert not found.scores[0].isnan()
