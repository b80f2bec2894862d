import json

import pytest

pytest.importorskip("lightning_fabric")

from click.testing import CliRunner

from fastcam.cli.main import main
from fastcam.data.synthetic import write_synthetic
from fastcam.training import read_checkpoint

SMALL = ["--model", "vgg16", "--model-option", "width=0.0625", "--epochs", "1", "--batch-size", "8", "--device", "cpu"]
SMALL += ["--resize", "36", "--crop", "32", "--workers", "0"]


@pytest.fixture(autouse=True)
def birds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_synthetic("birds", train=24, test=8, classes=2, size=32)
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def test_options(birds):
    result = run(
        "train", "--data", "birds", "--out", "out", *SMALL, "--no-flip", "--method", "has", "--method-option", "patch=8"
    )
    assert "test: Top-1 Cls" in result.output
    results = json.loads((birds / "out" / "results.json").read_text())
    assert set(results["test"]) == {"top1_cls", "gt_loc", "top1_loc"}
    assert results["checkpoint"] == "last.pt"
    config = read_checkpoint(birds / "out" / "last.pt")["config"]
    assert (config["flip"], config["method_options"], config["model_options"]) == (
        False,
        {"patch": 8},
        {"width": 0.0625},
    )


def test_options_over_a_file(birds):
    (birds / "birds.toml").write_text(
        'data = "birds"\nmodel = "vgg16"\nepochs = 1\nbatch_size = 8\nresize = 36\ncrop = 32\nworkers = 0\nlr = 0.5\n'
        "[model_options]\nwidth = 0.125\n"
    )
    run("train", "birds.toml", "--out", "out", "--lr", "0.001", "--model-option", "width=0.0625", "--no-test")
    config = read_checkpoint(birds / "out" / "last.pt")["config"]
    assert (config["lr"], config["model_options"]) == (0.001, {"width": 0.0625})
    assert "test" not in json.loads((birds / "out" / "results.json").read_text())


def test_evaluated_as_trained(birds):
    more = [*SMALL[:2], "--model-option", "width=0.25", *SMALL[4:], "--epochs", "6", "--lr", "0.02"]
    run("train", "--data", "birds", "--out", "out", *more)
    trained = json.loads((birds / "out" / "results.json").read_text())["test"]
    # The checkpoint says at which size it was judged; nothing else has to.
    run("evaluate", "--data", "birds", "--checkpoint", "out/last.pt", "--out", "report", "--workers", "0")
    report = json.loads((birds / "report" / "evaluation.json").read_text())
    assert report["facts"]["geometry"] == "resize, 32x32"
    evaluated = report["numbers"]["score_maps"]
    assert {name: evaluated[name]["value"] for name in trained} == pytest.approx(trained)
    run("evaluate", "--data", "birds", "--checkpoint", "out/last.pt", "--input-size", "64", "--out", "larger")
    assert json.loads((birds / "larger" / "evaluation.json").read_text())["facts"]["geometry"] == "resize, 64x64"


def test_going_on():
    run("train", "--data", "birds", "--out", "out", *SMALL)
    assert "last.pt is there already" in run("train", "--data", "birds", "--out", "out", *SMALL, code=1).output
    more = [*SMALL, "--epochs", "2"]
    assert "epoch 2:" in run("train", "--data", "birds", "--out", "out", *more, "--resume").output


def test_every_setting_has_an_option_and_a_word():
    from dataclasses import fields

    from fastcam.cli.settings import _helps
    from fastcam.training import TrainingConfig

    text = run("train", "--help").output
    for field in fields(TrainingConfig):
        assert f"--{field.name.replace('_', '-').removesuffix('s')}" in text
        assert _helps()[field.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "data is missing"),
        (["--data", "nowhere"], "data: 'nowhere' is no folder"),
        (["--data", "birds", "--model-option", "width"], "expected NAME=VALUE, got 'width'"),
        (["--data", "birds", "--method", "hass"], "method='hass' is unknown; did you mean 'has'"),
        (["--data", "birds", "--device", "tpu"], "device must be 'auto', 'cpu' or 'cuda'"),
        (["--data", "birds", "--precision", "16-mixed"], "needs a GPU"),
        (["none.toml"], "none.toml"),
    ],
)
def test_wrong_input(tmp_path, arguments, message):
    result = run("train", "--out", "out", *SMALL, *arguments, code=1)
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out" / "last.pt").exists()


def test_ablate(birds):
    (birds / "a.yaml").write_text("data: birds\nweights: null\n")
    result = run("ablate", "a.yaml", "--out", "out", *SMALL, "--seeds", "1")
    assert {path.name for path in (birds / "out").iterdir()} == {"ablation.md", "ablation.json", "ablation.png"}
    assert "## AUTHORS" in result.output
    assert json.loads((birds / "out" / "ablation.json").read_text())["seeds"] == [0]


def test_ablate_fine_tuned(birds):
    (birds / "a.yaml").write_text("data: birds\nweights: null\n")
    run("ablate", "a.yaml", "--out", "out", *SMALL, "--seeds", "1", "--features", "fine-tuned", "--no-choose")
    assert (birds / "out" / "tap-0" / "last.pt").exists()
    assert "fine-tuned end to end" in (birds / "out" / "ablation.md").read_text()
