import json

import pytest

pytest.importorskip("lightning_fabric")

from click.testing import CliRunner

import fastcam
from fastcam.cli.main import main
from fastcam.data.synthetic import write_synthetic


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training with a hierarchy, by the command line; its file is gone afterwards."""
    folder = tmp_path_factory.mktemp("danet")
    write_synthetic(folder / "birds", train=32, test=16, classes=3, size=72)
    file = folder / "hierarchy.txt"
    file.write_text("class_00 a x\nclass_01 a x\nclass_02 b y\nclass_03 c y\n")

    def command(*arguments):
        return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)

    settings = ["--data", folder / "birds", "--model", "vgg16", "--model-option", "width=0.125", "--epochs", "2"]
    settings += ["--batch-size", "8", "--lr", "0.02", "--resize", "72", "--crop", "64", "--workers", "0"]
    settings += ["--device", "cpu", "--method", "danet", "--method-option", "maps=3", "--method-option"]
    result = command("train", "--out", folder / "run", *settings, f"hierarchy={file}")
    assert result.exit_code == 0, result.output
    return folder, command, settings, file


def test_the_checkpoint_is_read_without_the_file(run):
    folder, command, _, file = run
    text = file.read_text()
    file.unlink()
    trained = json.loads((folder / "run" / "results.json").read_text())["test"]
    result = command(
        "evaluate", "--checkpoint", folder / "run" / "last.pt", "--data", folder / "birds", "--out", folder / "e"
    )
    assert result.exit_code == 0, result.output
    numbers = json.loads((folder / "e" / "evaluation.json").read_text())["numbers"]["score_maps"]
    assert {name: numbers[name]["value"] for name in trained} == trained
    method = fastcam.load(folder / "run" / "last.pt", device="cpu").extractor.method
    # The groups of the data's own classes: c is none of them.
    assert method.parents.tolist() == [[0, 0, 1], [0, 0, 1]]
    assert [len(one.classifier.bias) for one in method.branches] == [2, 2]
    file.write_text(text)


def test_a_training_goes_on(run):
    folder, command, settings, file = run
    result = command("train", "--out", folder / "run", "--resume", *settings, f"hierarchy={file}", "--epochs", 3)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class_00 a\nclass_01 b\n", "class 'class_02' of the data set is missing"),
        ("class_00\n", "bad.txt:1: expected class parent grandparent"),
        (None, "bad.txt: No such file or directory"),
    ],
)
def test_a_hierarchy_that_cannot_be_used(text, message, run):
    folder, command, settings, _ = run
    bad = folder / "bad.txt"
    bad.unlink(missing_ok=True)
    if text is not None:
        bad.write_text(text)
    result = command("train", "--out", folder / "other", *settings, f"hierarchy={bad}")
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
