"""Networks of other libraries on the command line, where these are installed."""

import csv
import json

import pytest
import torch
from libraries import library

pytest.importorskip("lightning_fabric")

from command import invoke as run
from command import paint

import fastcam
from fastcam.data.synthetic import write_synthetic


@pytest.fixture(scope="module")
def timm():
    library("timm.data")
    return library("timm")


@pytest.fixture
def here(timm, tmp_path, monkeypatch):
    """A folder with a file of weights of three classes."""
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), "three.pth")
    return tmp_path


def test_localize(here):
    paint(here / "a.png")
    run("localize", "a.png", "--model", "timm:test_resnet", "--weights", "three.pth", "--out", "out")
    (line,) = (here / "out" / "boxes.csv").read_text().splitlines()[1:]
    assert line.startswith("a.png,")
    assert (here / "out" / "overlays" / "a.png").exists()


@pytest.mark.usefixtures("here")
def test_inspect():
    told = json.loads(run("inspect", "timm:test_resnet", "--weights", "three.pth", "--json").stdout)
    assert (told["classes"], told["exact"], told["inputs"]["fit"]) == (3, True, "cover")
    assert told["source"]["difference"] < 1e-5


def test_evaluate(here):
    write_synthetic(here / "birds", train=3, test=3, classes=3, size=40)
    run(
        "evaluate",
        "--data",
        "birds",
        "--model",
        "timm:test_resnet",
        "--checkpoint",
        "three.pth",
        "--input-size",
        96,
        "--out",
        "out",
    )
    told = json.loads((here / "out" / "evaluation.json").read_text())
    assert 0 <= told["numbers"]["score_maps"]["gt_loc"]["value"] <= 1


def test_a_name_that_does_not_exist(here):
    paint(here / "a.png")
    message = " ".join(run("localize", "a.png", "--model", "timm:test_resnt", "--out", "out", code=2).stderr.split())
    assert "--model" in message
    assert "did you mean 'timm:test_resnet'" in message


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A folder of save_pretrained, of a tiny ViT with a class token, and files of its weights beside it."""
    transformers = library("transformers")
    from safetensors.torch import save_file

    torch.manual_seed(0)
    names = {0: "cat", 1: "dog", 2: "rocket"}
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=64, id2label=names
    )
    path = tmp_path_factory.mktemp("vit")
    transformers.ViTForImageClassification(config).save_pretrained(path / "model")
    transformers.ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(path / "model")
    config.num_labels = 5
    state = transformers.ViTForImageClassification(config).state_dict()
    torch.save(state, path / "five.pth")
    save_file(state, path / "five.safetensors")
    return path


WEIGHTS = [([], 3), (["random"], 3), (["five.pth"], 5), (["five.safetensors"], 5)]


@pytest.mark.filterwarnings("ignore::fastcam.extractors.GradientMapWarning")
@pytest.mark.parametrize(("weights", "classes"), WEIGHTS)
class TestOfTransformers:
    def given(self, vit, weights, flag):
        file = [one if one == "random" else str(vit / one) for one in weights]
        return f"hf:{vit / 'model'}", [flag, *file] if file else []

    def test_inspect(self, vit, weights, classes):
        model, options = self.given(vit, weights, "--weights")
        told = json.loads(run("inspect", model, *options, "--json").stdout)
        assert (told["classes"], told["exact"], told["method"]) == (classes, False, "grad-cam")
        assert told["source"]["features"] == "vit.layers.1.layernorm_before"
        assert told["source"]["beside"] == []
        assert told["inputs"]["resize"] == [64, 64]

    def test_localize(self, vit, weights, classes, tmp_path):
        paint(tmp_path / "a.png")
        model, options = self.given(vit, weights, "--weights")
        run("localize", str(tmp_path / "a.png"), "--model", model, *options, "--out", str(tmp_path / "out"))
        (row,) = csv.DictReader((tmp_path / "out" / "boxes.csv").read_text().splitlines())
        names = ["cat", "dog", "rocket"] if classes == 3 else [f"class {number}" for number in range(5)]
        assert row["class"] == names[int(row["class_id"])]

    def test_evaluate(self, vit, weights, classes, tmp_path):
        write_synthetic(tmp_path / "birds", train=3, test=3, classes=classes, size=40)
        model, options = self.given(vit, weights, "--checkpoint")
        data = ["--data", str(tmp_path / "birds"), "--input-size", 64]
        run("evaluate", *data, "--model", model, *options, "--out", str(tmp_path / "out"))
        told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert 0 <= told["numbers"]["score_maps"]["gt_loc"]["value"] <= 1


def test_the_weights_of_a_file_are_those_that_are_used(vit):
    transformers = library("transformers")
    theirs = transformers.ViTForImageClassification.from_pretrained(vit / "model").eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(images).logits
    torch.save(theirs.state_dict(), vit / "same.pth")
    for weights in (None, vit / "same.pth"):
        network = fastcam.load(f"hf:{vit / 'model'}", weights=weights, cam="grad-cam", device="cpu")
        torch.testing.assert_close(network.extractor.extract(images).logits, expected)


@pytest.mark.parametrize("weights", ["random", "three.pth"])
def test_torchvision(weights, tmp_path):
    models = library("torchvision").models
    torch.save(models.resnet18(num_classes=3).state_dict(), tmp_path / "three.pth")
    file = weights if weights == "random" else str(tmp_path / weights)
    told = json.loads(run("inspect", "torchvision:resnet18", "--weights", file, "--json").stdout)
    assert (told["classes"], told["exact"]) == (1000 if weights == "random" else 3, True)
