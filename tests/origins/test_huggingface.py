"""Image classifiers of transformers, from folders as save_pretrained writes them, where transformers is installed."""

import json

import numpy as np
import pytest
import torch
from libraries import library
from PIL import Image

import fastcam
from fastcam.inputs import Inputs
from fastcam.origins import LoadError
from fastcam.origins.huggingface import _readings
from fastcam.origins.library import proved_inputs

SIZES = [(97, 131), (260, 181), (641, 333)]
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def transformers():
    return library("transformers")


@pytest.fixture(scope="module")
def folder(transformers, tmp_path_factory):
    """A tiny trained ResNet with its processor."""
    torch.manual_seed(0)
    labels = {0: "cat", 1: "dog", 2: "rocket"}
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=labels
    )
    path = tmp_path_factory.mktemp("model")
    transformers.ResNetForImageClassification(config).half().save_pretrained(path)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875)
    processor.save_pretrained(path)
    return path


PROCESSORS = {
    "stretched": ("ViT", {"size": {"height": 64, "width": 80}}, Inputs((64, 80), mean=HALF, std=HALF)),
    "not normalized": ("ViT", {"do_normalize": False}, Inputs(mean=(0, 0, 0), std=(1, 1, 1))),
    "not rescaled": ("ViT", {"do_rescale": False}, Inputs(mean=(0.5 / 255,) * 3, std=(0.5 / 255,) * 3)),
    "stretched and cropped": ("DeiT", {}, Inputs((256, 256), (224, 224), "bicubic", HALF, HALF)),
    "shortest edge": ("MobileNetV1", {}, Inputs((256, 256), (224, 224), "bilinear", HALF, HALF, "cover")),
    "share of a crop": (
        "ConvNext",
        {"size": {"shortest_edge": 160}, "crop_pct": 0.9},
        Inputs((177, 177), (160, 160), "bicubic", HALF, HALF, "cover"),
    ),
    "a share that is ignored": ("ConvNext", {}, Inputs((384, 384), None, "bicubic", HALF, HALF)),
    "share of ImageNet": ("Levit", {}, Inputs((256, 256), (224, 224), "bicubic", fit="cover")),
    "share before a crop": ("PoolFormer", {}, Inputs((248, 248), (224, 224), "bicubic", fit="cover")),
    "normalized twice": ("EfficientNet", {}, Inputs((346, 346), None, "bicubic", HALF, (0.25, 0.25, 0.25))),
    "shifted": (
        "EfficientNet",
        {"rescale_offset": True, "include_top": False, "rescale_factor": 1 / 127.5},
        Inputs((346, 346), None, "bicubic", (0.75, 0.75, 0.75), (0.25, 0.25, 0.25)),
    ),
    "turned around": (
        "MobileViT",
        {"size": {"shortest_edge": 72}, "crop_size": 64},
        Inputs((72, 72), (64, 64), "bicubic", (0, 0, 0), (1, 1, 1), "cover", channels="bgr"),
    ),
}


@pytest.mark.parametrize("case", PROCESSORS)
def test_the_pixels_are_those_of_the_processor(transformers, case):
    name, options, wanted = PROCESSORS[case]
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)

    def transform(picture):
        return processor(images=picture, return_tensors="pt")["pixel_values"][0]

    found = proved_inputs(_readings(processor), transform, name)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, wanted.std, rtol=1e-12)
    assert found.replace(mean=wanted.mean, std=wanted.std) == wanted
    by_pillow = getattr(transformers, f"{name}ImageProcessorPil")(**options)
    level = 1 / (255 * np.array(wanted.std)[:, None, None])
    generator = np.random.default_rng(1)
    for size in SIZES:
        picture = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
        given, exact = found(picture).numpy(), by_pillow(images=Image.fromarray(picture))["pixel_values"][0]
        np.testing.assert_allclose(given, exact, atol=1e-4 * float(level.max()), rtol=1e-5)
        # By default the library resizes integers by PyTorch, which rounds elsewhere.
        assert (np.abs(given - transform(Image.fromarray(picture)).numpy()) / level).mean() <= 0.5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Perceiver", {}),  # crops, then resizes
        ("ViT", {"do_resize": False}),
        ("CLIP", {"size": {"shortest_edge": 64}, "crop_size": 80}),  # pads
        ("TextNet", {}),  # to a multiple of 32 of any aspect
    ],
)
def test_what_inputs_cannot_say_is_no_reading(transformers, name, options):
    processor = getattr(transformers, f"{name}ImageProcessor")(**options)
    with pytest.raises(ValueError, match=r"is none that fastcam.inputs.Inputs can say"):
        proved_inputs(
            _readings(processor),
            lambda picture: processor(images=picture, return_tensors="pt")["pixel_values"][0],
            name,
        )


def test_a_folder(transformers, folder):
    network = fastcam.load(f"hf:{folder}", device="cpu")
    assert network.classes == ("cat", "dog", "rocket")
    assert network.inputs == Inputs((73, 73), (64, 64), "bicubic", HALF, HALF, "cover")
    images = torch.rand(2, 3, 64, 64)
    theirs = transformers.ResNetForImageClassification.from_pretrained(folder).float().eval()
    with torch.no_grad():
        torch.testing.assert_close(network.extractor.features(images)[0], theirs(images).logits)
    assert network(np.zeros((40, 60, 3), np.uint8)).names[0] in network.classes


def test_weights_of_another_file_say_how_many_classes(transformers, folder, tmp_path):
    config = transformers.AutoConfig.from_pretrained(folder, num_labels=5)
    other = transformers.ResNetForImageClassification(config)
    torch.save(other.state_dict(), tmp_path / "five.pt")
    network = fastcam.load(f"hf:{folder}", weights=tmp_path / "five.pt", device="cpu")
    assert network.classes == tuple(f"class {number}" for number in range(5))
    assert torch.equal(network.model.classifier[1].weight, other.classifier[1].weight)


@pytest.mark.usefixtures("transformers")
class TestWhatIsNotThere:
    def copy(self, folder, tmp_path, *without, **config):
        for file in folder.iterdir():
            if file.name not in without:
                (tmp_path / file.name).write_bytes(file.read_bytes())
        changed = json.loads((tmp_path / "config.json").read_text()) | config
        (tmp_path / "config.json").write_text(json.dumps(changed))
        return f"hf:{tmp_path}"

    def test_no_such_model(self, tmp_path):
        for name in (f"hf:{tmp_path}", "hf:nobody/nothing"):
            with pytest.raises(LoadError, match=r"transformers cannot find or read it: \w+") as caught:
                fastcam.load(name)
            assert caught.value.argument == "source"
            assert "\n" not in str(caught.value)

    def test_the_scheme(self, folder):
        with pytest.raises(
            LoadError, match=r"is neither .*; a folder that save_pretrained of transformers wrote is 'hf:"
        ):
            fastcam.load(folder)

    def test_a_classifier_that_was_not_trained(self, folder, tmp_path):
        name = self.copy(folder, tmp_path, "model.safetensors")
        from safetensors.torch import load_file, save_file

        state = load_file(folder / "model.safetensors")
        rest = {key: value for key, value in state.items() if not key.startswith("classifier")}
        save_file(rest, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            LoadError, match=r"has no weights for classifier.1.bias, classifier.1.weight: it is no trained"
        ):
            fastcam.load(name)

    def test_no_classifier_of_images(self, folder, tmp_path):
        name = self.copy(folder, tmp_path, model_type="bert", architectures=["BertModel"])
        with pytest.raises(LoadError, match="transformers could not load it: ValueError: Unrecognized configuration"):
            fastcam.load(name)

    def test_no_processor(self, folder, tmp_path):
        name = self.copy(folder, tmp_path, "preprocessor_config.json")
        with pytest.raises(LoadError, match=r"no image processor .*; give size, mean and std") as caught:
            fastcam.load(name)
        assert caught.value.argument == "source"
        network = fastcam.load(name, size=(64, 48), mean=HALF, std=HALF, device="cpu")
        assert network.inputs == Inputs((64, 48), mean=HALF, std=HALF)

    def test_code_of_a_model_is_not_run(self, folder, tmp_path):
        (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        name = self.copy(folder, tmp_path, model_type="evil", auto_map={"AutoConfig": "evil.Config"})
        with pytest.raises(LoadError):
            fastcam.load(name)
        assert not (tmp_path / "ran").exists()
