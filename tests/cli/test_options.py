"""The network that the options ask for."""

import os

import pytest
import torch
from command import overlap, paint, rows, run

from fastcam.models import ResNet50


class TestModels:
    @pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
    @pytest.mark.parametrize("prefix", ["", "module."])
    def test_weights_are_used(self, here, wrap, prefix):
        paint(here / "a.png", "red")
        turned = {"fc.weight": torch.eye(3).roll(1, 0), "fc.bias": torch.zeros(3)}
        torch.save(wrap({prefix + name: value for name, value in turned.items()}), here / "turned.pt")
        run("a.png", "--weights", "turned.pt")
        assert rows(here)[0]["class_id"] == "1"

    def test_an_instance_serves_too(self, here):
        paint(here / "a.png", "blue")
        run("a.png", model="toy_network:ready")
        assert rows(here)[0]["class_id"] == "2"

    def test_features_by_input_and_another_classifier_name(self, here):
        paint(here / "a.png")
        run("a.png", "--features", "layer4:input", "--classifier", "fc")
        assert overlap(rows(here)[0], [32, 24, 80, 72]) > 0.9

    def test_weights_that_do_not_fit(self, here):
        paint(here / "a.png")
        state = {"fc.weight": torch.eye(4), "head.bias": torch.zeros(3)}
        torch.save(state, here / "other.pt")
        message = run("a.png", "--weights", "other.pt", code=2).stderr
        assert "--weights" in message
        assert "fc.bias missing" in message
        assert "head.bias unexpected" in message
        assert "fc.weight of another shape" in message
        assert not (here / "out").exists() or os.listdir("out") == []

    def test_a_network_of_the_library_understands_other_libraries_names(self, here):
        paint(here / "a.png")
        code = "from fastcam.models import ResNet50\nready = ResNet50(num_classes=3, width=1 / 16)\n"
        (here / "library_network.py").write_text(code)
        state = ResNet50(num_classes=3, width=1 / 16).state_dict()
        state = {name.replace("classifier.", "fc."): value for name, value in state.items()}
        torch.save(state, here / "theirs.pt")
        options = ("--features", "pool:input", "--classifier", "classifier", "--weights")
        run("a.png", *options, "theirs.pt", model="library_network:ready")
        torch.save(state | {"fc.bias": torch.zeros(4), "fc.weight": torch.zeros(4, 128)}, here / "other.pt")
        stderr = " ".join(run("a.png", *options, "other.pt", model="library_network:ready", code=2).stderr.split())
        assert "Its classifier has 4 classes, the network 3" in stderr

    @pytest.mark.parametrize("content", [b"", b"junk", "module", [1, 2], {"a": 1}])
    def test_weights_that_are_none(self, here, content):
        paint(here / "a.png")
        if isinstance(content, bytes):
            (here / "w.pt").write_bytes(content)
        else:
            torch.save(torch.nn.Linear(1, 1) if content == "module" else content, here / "w.pt")
        assert "--weights" in run("a.png", "--weights", "w.pt", code=2).stderr

    @pytest.mark.parametrize(
        ("model", "message"),
        [
            ("efficientnet-lite", "did you mean 'efficientnet-lite0'?"),
            ("resnet", "neither a built-in model nor package.module:factory"),
            ("no_such_module:make", "No module named 'no_such_module'"),
            ("toy_network:missing", "has no attribute 'missing'"),
            ("toy_network:nothing", "must return a torch.nn.Module, got NoneType"),
        ],
    )
    def test_models_that_are_none(self, here, model, message):
        paint(here / "a.png")
        stderr = " ".join(run("a.png", model=model, code=2).stderr.split())
        assert message in stderr
        assert "--model" in stderr

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (["--features", "layer5"], 2, "close to it: 'layer4'"),
            (["--classifier", "layer4"], 2, "must name a linear layer"),
            (["--features", "fc"], 1, "does not run on an input of (1, 3, 64, 64): ValueError: features='fc'"),
            (["--top-k", "4"], 2, "4 of 3 classes"),
            (["--classes", "two.txt"], 2, "two.txt has 2 names, the model 3 classes"),
            (["--classes", "toy.txt"], 2, "toy.txt"),
            (["--percentile", "0.9"], 2, "looks like a fraction"),
            (["--threshold", "2"], 2, "threshold must lie in [0, 1]"),
            (["--protocol", "best"], 2, "paper"),
            (["--input-size", "big"], 2, "'big' is not a size"),
            (["--input-size", "0"], 2, "resize must be (H, W), each at least 1"),
            (["--std", "1", "0", "1"], 2, "std must be positive"),
            (["--device", "abacus"], 2, "--device"),
            (["--batch-size", "0"], 2, "--batch-size"),
        ],
    )
    def test_options_that_cannot_be_met(self, here, options, code, message):
        paint(here / "a.png")
        (here / "two.txt").write_text("one\ntwo\n")
        assert message in " ".join(run("a.png", *options, code=code).stderr.split())
