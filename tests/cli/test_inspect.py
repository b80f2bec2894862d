"""``fastcam inspect``, and which maps are chosen by ``--cam``, from end to end."""

import json
import subprocess
import sys

import pytest
import torch
from command import CliRunner, box, main, overlap, paint, process, rows, run

import fastcam

# Nobody would guess their names: where the maps come from has to be found.
OTHERS = """
import torch
from torch import nn

torch.manual_seed(0)

def layers(*behind):
    pooled = [nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*pooled, *behind)

def folded():
    return layers(nn.LayerNorm(8), nn.Linear(8, 3))

def hidden():
    return layers(nn.Linear(8, 9), nn.ReLU(), nn.Linear(9, 3))

def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 3))

def colours():
    model = nn.Sequential(nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    nn.init.eye_(model[3].weight)
    return model
"""

SIZE = ("--input-size", "64")


@pytest.fixture
def others(here):
    (here / "other_networks.py").write_text(OTHERS)
    yield here
    sys.modules.pop("other_networks", None)


def inspect(*arguments, code=0):
    result = CliRunner().invoke(main, ["inspect", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


@pytest.mark.usefixtures("others")
class TestInspect:
    def test_an_exact_map(self):
        lines = inspect("other_networks:folded", *SIZE).stdout.splitlines()
        assert lines[0] == "other_networks:folded: 3 classes"
        assert lines[1] == (
            "inputs: the whole picture at 64x64, bilinear, rgb, mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
        )
        assert lines[2].startswith(
            "class activation map, exact: features='1' (N, C, h, w), pooled by mean, weight folded from layer norm; "
            "explains the logits to "
        )
        assert "  '0' (N, C, h, w), 8 channels on 16x16" in lines
        assert lines[-1] == "other methods (cam=...): grad-cam, grad-cam++, xgrad-cam, layer-cam, hires-cam"

    def test_for_machines(self):
        told = json.loads(inspect("toy_network:Colours", *SIZE, "--json").stdout)
        assert (told["model"], told["classes"], told["method"], told["exact"]) == (
            "toy_network:Colours",
            3,
            "cam",
            True,
        )
        assert told["inputs"]["resize"] == [64, 64]
        source = told["source"]
        assert source.pop("difference") < 1e-5
        assert source == {
            "features": "layer4",
            "layout": "(N, C, h, w)",
            "classifier": "fc",
            "pooling": "mean",
            "folded": [],
        }
        (one,) = told["maps"]
        assert one == {
            "features": "layer4",
            "layout": "(N, C, h, w)",
            "channels": 3,
            "grid": [16, 16],
            "reaches": True,
            "pooled": True,
        }

    def test_a_gradient_map_and_why(self):
        result = inspect("other_networks:hidden", *SIZE, "--cam", "layer-cam")
        assert "layer-cam map: features='1' (N, C, h, w), gradient maps, because" in result.stdout
        told = json.loads(inspect("other_networks:hidden", *SIZE, "--cam", "grad-cam", "--json").stdout)
        assert (told["method"], told["exact"], told["source"]["features"]) == ("grad-cam", False, "1")

    def test_a_gradient_map_that_nobody_asked_for_is_said_in_one_line(self, others):
        code = "from fastcam.cli.main import main; main(['inspect', 'other_networks:hidden', '--input-size', '64'])"
        result = subprocess.run([sys.executable, "-c", code], cwd=others, capture_output=True, text=True, check=True)
        (line,) = result.stderr.splitlines()
        assert line.startswith("warning: no linear map, because a hidden layer stands between")
        assert "grad-cam map: features='1' (N, C, h, w), gradient maps, because a hidden layer" in result.stdout

    @pytest.mark.parametrize(
        ("model", "options", "reason"),
        [
            ("other_networks:hidden", ["--cam", "cam"], "no linear map: a hidden layer stands between"),
            ("other_networks:flat", [], "no module's output has positions that reach the logits"),
            ("other_networks:flat", ["--input-size", "32"], "shapes cannot be multiplied"),
            (
                "toy_network:Bent",
                ["--features", "layer4", "--classifier", "fc"],
                "the map is not that of this classifier",
            ),
        ],
    )
    def test_no_map_is_an_answer(self, model, options, reason):
        result = inspect(model, *SIZE, *options, code=1)
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert reason in line
        told = json.loads(inspect(model, *SIZE, *options, "--json", code=1).stdout)
        assert reason in (told.get("reason") or told["source"]["mismatch"])
        assert not told.get("exact")

    def test_names_that_explain_the_logits(self):
        told = inspect("toy_network:Colours", *SIZE, "--features", "layer4", "--classifier", "fc").stdout
        assert "exact: features='layer4', classifier='fc', as named; explain the logits to within rounding" in told

    def test_a_network_of_fastcam_without_weights(self):
        told = json.loads(inspect("mobilenetv1", "--weights", "random", *SIZE, "--json").stdout)
        assert (told["classes"], told["exact"], told["source"]["classifier"]) == (1000, True, "classifier")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "Missing argument 'MODEL'"),
            (["mobilenet"], "did you mean 'mobilenetv1'"),
            (["toy_network:Colours", "--cam", "score-cam"], "'score-cam' is not one of 'auto', 'cam', 'grad-cam'"),
            (["toy_network:Colours", "--weights", "random"], "a module has weights of its own"),
            (["toy_network:Colours", "--weights", "nowhere"], "'nowhere' does not exist"),
        ],
    )
    def test_what_cannot_be_asked(self, arguments, message):
        assert message in " ".join(inspect(*arguments, code=2).stderr.split())


class TestLocalize:
    def test_a_factory_without_names(self, others):
        paint(others / "a.png", "green")
        run("a.png", model="other_networks:colours")
        (row,) = rows(others)
        assert row["class_id"] == "1"
        assert overlap(row, [32, 24, 80, 72]) > 0.75

    def test_weights_of_a_file_without_names(self, others):
        paint(others / "a.png", "red")
        torch.save({"3.weight": torch.eye(3).roll(1, 0)}, others / "turned.pt")
        run("a.png", "--weights", "turned.pt", model="other_networks:colours")
        assert rows(others)[0]["class_id"] == "1"

    def test_the_map_that_is_asked_for(self, others):
        paint(others / "a.png", "green")
        found = {}
        for cam in ("cam", "grad-cam", "layer-cam"):
            run("a.png", "--cam", cam, model="other_networks:colours")
            found[cam] = box(rows(others)[0])
            loaded = fastcam.load(
                "other_networks:colours", cam=cam, size=(64, 64), mean=(0, 0, 0), std=(1, 1, 1), device="cpu"
            )
            assert found[cam] == pytest.approx(loaded(str(others / "a.png")).boxes[0].tolist(), abs=0.01)
        assert found["cam"] == found["grad-cam"]

    def test_a_gradient_map_is_said_once_for_all_pictures(self, others):
        for name in "abc":
            paint(others / "in" / f"{name}.png")
        result = process("in", "--batch-size", "1", model="other_networks:hidden", cwd=others)
        assert result.returncode == 0, result.stderr
        assert sum(line.startswith("warning: no linear map, because") for line in result.stderr.splitlines()) == 1
        assert len(rows(others)) == 3

    def test_no_linear_map_where_one_was_asked_for(self, others):
        paint(others / "a.png")
        told = " ".join(run("a.png", "--cam", "cam", model="other_networks:hidden", code=2).stderr.split())
        assert "no linear map: a hidden layer stands between" in told
