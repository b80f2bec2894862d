"""Weights from files: whose names fit, what is reported, and what is refused."""

import hashlib
import pickle
from urllib.error import URLError

import pytest
import torch
from original_names import (
    STATISTICS,
    fabricated,
    inception_v3,
    legacy_seresnet50,
    mobilenetv1_100,
    norm,
    resnet50,
    seresnet50,
    tf_efficientnet_lite0,
    vgg16,
    vgg16_of_timm,
)

from fastcam.models import NETWORKS, WeightsMismatchError, create, load_weights, read_state_dict
from fastcam.models.weights import downloaded

SAME = {
    "resnet50": resnet50,
    "resnet50-se": seresnet50,
    "mobilenetv1": mobilenetv1_100,
    "efficientnet-lite0": tf_efficientnet_lite0,
}


@pytest.fixture
def saved(tmp_path):
    """Writes a state dict to a file, and returns its path."""

    def save(state, name="weights.pth"):
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return save


def filled_with(tensor, number):
    return bool((tensor == number).all())


def tiny(name="vgg16", **options):
    return create(name, **{"num_classes": 3, "width": 1 / 16, **options})


class TestOtherLibrariesNames:
    @pytest.mark.parametrize("name", SAME)
    def test_the_whole_network(self, saved, name):
        theirs = fabricated(SAME[name]())
        model = create(name)
        report = load_weights(model, saved(theirs))
        own = model.state_dict()
        for key, value in theirs.items():
            place = key.replace("fc.", "classifier.", 1) if key.startswith("fc.") else key
            assert filled_with(own[place], value.flatten()[0]), key
        assert (report.loaded, report.fresh, report.unused) == (tuple(own), (), ())

    @pytest.mark.parametrize(
        ("name", "original", "added"),
        [
            ("vgg16", vgg16, ("conv6.",)),
            ("vgg16", vgg16_of_timm, ("conv6.",)),
            ("googlenet", inception_v3, ("SPG_A3_1b.", "SPG_A3_2b.")),
        ],
    )
    def test_what_both_have(self, saved, name, original, added):
        theirs = fabricated(original())
        torch.manual_seed(0)
        model = create(name, num_classes=11)
        before = {key: value.clone() for key, value in model.state_dict().items()}
        report = load_weights(model, saved(theirs))
        own = model.state_dict()
        fresh = tuple(key for key in own if key.startswith((*added, "classifier.")))
        assert report.fresh == fresh
        assert all(torch.equal(own[key], before[key]) for key in fresh)
        assert set(report.loaded) == set(own) - set(fresh)
        assert all(filled_with(own[key], theirs[key].flatten()[0]) for key in report.loaded)
        # Nothing is passed over in silence.
        assert set(report.unused) == set(theirs) - set(report.loaded)
        assert all(key.startswith(("classifier.", "pre_logits.", "head.", "AuxLogits.", "Mixed_7", "fc."))
                   for key in report.unused)  # fmt: skip

    def test_of_the_package_that_efficientnet_s_weights_come_from(self, saved):
        EfficientNet = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet  # noqa: N806
        theirs = EfficientNet.from_name("efficientnet-lite0").state_dict()
        theirs = fabricated({key: tuple(value.shape) for key, value in theirs.items()})
        model = create("efficientnet-lite0")
        load_weights(model, saved(theirs))
        # Both list the same layers in the same order.
        pairs = zip(model.state_dict().values(), theirs.values(), strict=True)
        assert all(filled_with(ours, value.flatten()[0]) for ours, value in pairs)

    def test_files_older_than_the_counters_of_batch_normalization(self, saved):
        theirs = {key: value for key, value in fabricated(resnet50()).items() if not key.endswith(STATISTICS[2])}
        report = load_weights(create("resnet50"), saved(theirs))
        assert len(report.fresh) == 53
        assert all(key.endswith("num_batches_tracked") for key in report.fresh)

    def test_legacy_seresnet50_is_another_network(self, saved):
        with pytest.raises(WeightsMismatchError, match="strides in other convolutions, which is another network"):
            load_weights(create("resnet50-se"), saved(fabricated(legacy_seresnet50())))


class TestFiles:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_own(self, saved, name):
        model = tiny(name)
        path = saved(model.state_dict())
        other = create(name, num_classes=3, width=1 / 16, weights=path)
        assert other.weights_report.path == path
        assert model.weights_report is None
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())

    @pytest.mark.parametrize("key", [None, "state_dict", "model"])
    @pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "net.module."])
    def test_checkpoints_and_wrappers(self, saved, key, prefix):
        model = tiny()
        state = {prefix + name: value for name, value in model.state_dict().items()}
        path = saved(state if key is None else {key: state, "epoch": 3, "optimizer": {"lr": 0.1}})
        assert list(read_state_dict(path)) == list(model.state_dict())
        assert load_weights(tiny(), path).fresh == ()

    def test_safetensors(self, tmp_path):
        save_file = pytest.importorskip("safetensors.torch").save_file
        model = tiny("mobilenetv1")
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        other = tiny("mobilenetv1", weights=tmp_path / "model.safetensors")
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())

    def test_without_safetensors_the_error_says_what_to_install(self, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
        (tmp_path / "model.safetensors").write_bytes(b"")
        with pytest.raises(ImportError, match=r'pip install "fastcam\[weights\]"'):
            tiny(weights=tmp_path / "model.safetensors")

    @pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"junk", b"\x80\x04]"])
    def test_of_something_else(self, tmp_path, name, content):
        pytest.importorskip("safetensors")
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a state dict that can be loaded safely"):
            tiny(weights=tmp_path / name)

    @pytest.mark.parametrize("content", [{}, [1, 2], {"a": 1}, {"state_dict": {}}, torch.zeros(2)])
    def test_without_a_state_dict(self, saved, content):
        with pytest.raises(ValueError, match="expected a state dict"):
            tiny(weights=saved(content))

    def test_that_would_run_code(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (pytest.fail, ("it ran",))

        (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
        with pytest.raises(ValueError, match="loaded safely"):
            tiny(weights=tmp_path / "evil.pth")

    def test_that_are_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.pth"):
            tiny(weights=tmp_path / "none.pth")


class TestWhatDoesNotFit:
    def test_every_name_is_told_and_nothing_is_loaded(self, saved):
        model = tiny()
        before = {key: value.clone() for key, value in model.state_dict().items()}
        state = {f"strange.{number}": torch.zeros(1) for number in range(20)} | model.state_dict()
        state = {key: torch.zeros_like(value) for key, value in state.items()}
        state["features.0.weight"] = torch.zeros(9, 3, 3, 3)
        del state["features.2.bias"]
        with pytest.raises(WeightsMismatchError) as caught:
            load_weights(model, saved(state))
        error = caught.value
        assert error.unexpected == tuple(f"strange.{number}" for number in range(20))
        assert error.missing == ("features.2.bias",)
        assert error.shapes == {"features.0.weight": ((8, 3, 3, 3), (9, 3, 3, 3))}
        for part in ("VGG16", "1 missing: features.2.bias", "20 unexpected: strange.0, ", "and 8 more", "(9, 3, 3, 3)"):
            assert part in str(error)
        assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    def test_another_number_of_classes(self, saved):
        path = saved(fabricated(resnet50(classes=17)))
        with pytest.raises(
            WeightsMismatchError, match=r"has 17 classes, the network 200: build it with num_classes=17"
        ):
            create("resnet50", num_classes=200, weights=path)
        model = create("resnet50", num_classes=200)
        report = load_weights(model, path, new_classifier=True)
        assert report.fresh == ("classifier.weight", "classifier.bias")
        assert report.unused == ("fc.weight", "fc.bias")
        assert filled_with(model.conv1.weight, 1)

    def test_a_new_classifier_though_the_number_is_the_same(self, saved):
        path = saved(tiny().state_dict())
        report = load_weights(tiny(), path, new_classifier=True)
        assert report.unused == report.fresh == ("classifier.weight", "classifier.bias")

    def test_an_own_file_must_be_whole(self, saved):
        # Only a file without anything of what was added is taken for a pretrained original.
        for key in ("conv6.bias", "classifier.weight"):
            state = tiny().state_dict()
            del state[key]
            with pytest.raises(WeightsMismatchError, match=f"1 missing: {key}"):
                load_weights(tiny(), saved(state))

    def test_a_backbone_alone_needs_a_word(self, saved):
        theirs = {key: value for key, value in fabricated(resnet50()).items() if not key.startswith("fc.")}
        with pytest.raises(WeightsMismatchError, match=r"2 missing: classifier\.weight, classifier\.bias"):
            load_weights(create("resnet50"), saved(theirs))
        assert len(load_weights(create("resnet50"), saved(theirs), new_classifier=True).fresh) == 2

    def test_another_network_s(self, saved):
        with pytest.raises(WeightsMismatchError, match="does not fit ResNet50"):
            load_weights(tiny("resnet50"), saved(tiny("vgg16").state_dict()))
        # ResNet50 inside ResNet50-SE.
        with pytest.raises(WeightsMismatchError, match=r"64 unexpected: layer1\.0\.se\.fc1\.weight"):
            load_weights(tiny("resnet50"), saved(tiny("resnet50-se").state_dict()))

    def test_it_is_a_value_error_that_can_be_pickled(self, saved):
        with pytest.raises(ValueError, match="strange") as caught:
            load_weights(tiny(), saved(tiny().state_dict() | {"strange": torch.zeros(1)}))
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


class TestImageNet:
    FILES = {  # noqa: RUF012
        "vgg16": ("vgg16-397923af.pth", vgg16),
        "resnet50": ("resnet50-0676ba61.pth", resnet50),
        "resnet50-se": ("seresnet50_ra_224-8efdb4bb.pth", seresnet50),
        "googlenet": ("inception_v3_google-0cc3c7bd.pth", inception_v3),
    }

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        """A cache of torch.hub of its own, and no way out of it."""
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

        def refuse(*_, **__):
            raise AssertionError("the network was used")

        monkeypatch.setattr("socket.socket.connect", refuse)
        (tmp_path / "checkpoints").mkdir()
        return tmp_path / "checkpoints"

    @pytest.mark.parametrize("name", FILES)
    def test_from_the_cache(self, cache, name):
        file, original = self.FILES[name]
        torch.save(fabricated(original()), cache / file)
        model = create(name, num_classes=1000, weights="imagenet")
        first = next(iter(model.state_dict().values()))
        assert filled_with(first, 1)
        # Of 200 classes, the classifier starts afresh by itself.
        assert filled_with(create(name, num_classes=200, weights="imagenet").classifier.bias, 0)

    def test_mobilenet_comes_as_safetensors(self, cache):
        save_file = pytest.importorskip("safetensors.torch").save_file
        theirs = {key: value.clone() for key, value in fabricated(mobilenetv1_100()).items()}
        save_file(theirs, cache / "mobilenetv1_100.ra4_e3600_r224_in1k.safetensors")
        model = create("mobilenetv1", weights="imagenet")
        assert filled_with(model.conv_stem.weight, 1)

    def test_the_weights_are_those_of_the_full_width(self, cache):
        torch.save(fabricated(resnet50()), cache / "resnet50-0676ba61.pth")
        with pytest.raises(WeightsMismatchError, match="those of the full network: width=1"):
            create("resnet50", width=0.5, weights="imagenet")

    def test_download(self, cache, tmp_path):
        content = b"weights"
        digits = hashlib.sha256(content).hexdigest()[:8]
        source = tmp_path / f"net-{digits}.pth"
        source.write_bytes(content)
        path = downloaded(source.as_uri())
        assert path == cache / source.name
        assert path.read_bytes() == content
        source.unlink()
        assert downloaded(source.as_uri()) == path  # no second time

    def test_a_damaged_download_is_not_kept(self, cache, tmp_path):
        source = tmp_path / "net-01234567.pth"
        source.write_bytes(b"half of it")
        with pytest.raises(OSError, match="invalid hash value"):
            downloaded(source.as_uri())
        assert list(cache.iterdir()) == []

    @pytest.mark.parametrize("name", [*FILES, "mobilenetv1"])
    def test_without_a_network_the_error_says_what_to_do(self, cache, monkeypatch, name):
        def fail(*_, **__):
            raise URLError("no route to host")

        monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
        with pytest.raises(OSError, match=r"https://\S+ could not be downloaded: .*no route to host.*Put the file at"):
            create(name, weights="imagenet")
        assert list(cache.iterdir()) == []


def test_names_of_statistics_are_those_of_torch():
    assert set(norm("bn", 4)) == {f"bn.{name}" for name in torch.nn.BatchNorm2d(4).state_dict()}
