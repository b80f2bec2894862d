import json
import re
import subprocess
import sys

import pytest

pytest.importorskip("lightning_fabric")

import small_datasets
from command import invoke as run

from fastcam.data import read_cub
from fastcam.data.synthetic import write_synthetic
from fastcam.training import read_checkpoint

SMALL = ["--model", "vgg16", "--model-option", "width=0.0625", "--epochs", "1", "--batch-size", "8", "--device", "cpu"]
SMALL += ["--resize", "36", "--crop", "32", "--workers", "0"]


@pytest.fixture(autouse=True)
def birds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_synthetic("birds", train=24, test=8, classes=2, size=32)
    return tmp_path


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
    names = {"ablation.md", "ablation.json", "ablation.png"}
    assert {path.name for path in (birds / "out").iterdir()} == {*names, "kept"}
    assert "## AUTHORS" in result.output
    assert json.loads((birds / "out" / "ablation.json").read_text())["seeds"] == [0]


def test_ablate_fine_tuned(birds):
    (birds / "a.yaml").write_text("data: birds\nweights: null\n")
    run("ablate", "a.yaml", "--out", "out", *SMALL, "--seeds", "1", "--features", "fine-tuned", "--no-choose")
    assert (birds / "out" / "tap-0" / "last.pt").exists()
    assert "fine-tuned end to end" in (birds / "out" / "ablation.md").read_text()


def test_a_line_an_epoch_at_once(birds):
    command = "from fastcam.cli.main import main; main(prog_name='fastcam')"
    options = ["train", "--data", "birds", "--out", "out", *SMALL, "--epochs", "3", "--no-test"]
    with subprocess.Popen([sys.executable, "-c", command, *options], stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            # Of a pipe a line could come much later than it was printed.
            lines.append((line, (birds / "out" / "results.json").exists()))
    assert process.returncode == 0
    assert [line.partition(":")[0] for line, _ in lines] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3", "epoch 3"]
    assert all(re.search(r", \d+\.\d images/s\b", line) for line, _ in lines)
    assert not lines[0][1]


@pytest.mark.parametrize("layout", ["cub", "metadata"])
def test_a_training_without_test_wants_no_boxes(birds, layout):
    if layout == "cub":
        (birds / "birds" / "bounding_boxes.txt").unlink()
        data = ["--data", "birds"]
    else:
        records = read_cub("birds", "train")
        small_datasets.metadata(birds / "meta" / "train", {one.id: (one.label, (32, 32), []) for one in records})
        (birds / "meta" / "train" / "localization.txt").unlink()
        data = ["--data", "meta", "--images", "birds/images"]
    assert "epoch 1:" in run("train", *data, "--out", "out", *SMALL, "--no-test").output
    # With a test the file is asked for, by name, and the training is kept.
    message = run("train", *data, "--out", "tested", *SMALL, code=1).output
    assert "Traceback" not in message
    assert ("bounding_boxes.txt" if layout == "cub" else "image_ids.txt") in message


def test_ablate_says_which_options_it_does_not_use(birds):
    (birds / "a.yaml").write_text("data: birds\nweights: null\n")
    unused = ["--method", "has", "--epochs", "1", "--lr", "0.1", "--batch-size", "8", "--precision", "bf16-mixed"]
    used = ["--model", "vgg16", "--model-option", "width=0.0625", "--crop", "32", "--resize", "32", "--workers", "0"]
    said = run("ablate", "a.yaml", "--out", "out", *used, *unused, "--device", "cpu", "--seeds", "1").stderr
    assert "not used: --method, --epochs, --batch-size, --lr, --resize, --precision: cached features" in said
    assert "ablation" not in said
    heading = (birds / "out" / "ablation.md").read_text().splitlines()[0]
    assert "on birds" in heading


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("data: birds\nmodel_options: 3\n", "model_options must be a table, got 3"),
        (f"data: {'x' * 900_000}\n", "is no folder"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ndata: [*b, *b]\n", "an alias of line 1"),
        ("? &a [x]\n: *a\n", "an alias of line 1"),
    ],
)
def test_messages_are_short_whatever_a_file_holds(tmp_path, text, least):
    (tmp_path / "a.yaml").write_text(text)
    message = run("train", "a.yaml", "--out", "out", *SMALL, code=1).stderr
    assert least in message
    assert len(message) < 3000


def test_damaged_or_changed_states_are_not_resumed(birds):
    import torch

    run("train", "--data", "birds", "--out", "out", *SMALL, "--no-test")
    content = torch.load("out/last.pt")
    for changes, message in (
        ({"classes": 7}, "classes must be a list of names"),
        ({"classes": [["a"]]}, "classes must be a list of names"),
        ({"history": []}, "its history is not that of the 1 epochs"),
        ({"optimizer": {"state": 3}}, "its state is not that of this training"),
        ({"state_dict": {"a": torch.zeros(1)}}, "its state is not that of this training"),
        ({"config": {**content["config"], "crop": True}}, "is of another training: crop=True"),
        ({"config": {**content["config"], "crop": 10**6}}, "is of another training: crop=1000000"),
    ):
        torch.save({**content, **changes}, "out/last.pt")
        result = run("train", "--data", "birds", "--out", "out", *SMALL, "--epochs", "2", "--resume", code=1)
        assert message in result.stderr
    whole = (birds / "out" / "last.pt").read_bytes()
    (birds / "out" / "last.pt").write_bytes(whole[: len(whole) // 2])
    result = run("train", "--data", "birds", "--out", "out", *SMALL, "--epochs", "2", "--resume", code=1)
    assert "damaged or incomplete" in result.stderr
