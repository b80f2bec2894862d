"""What commands say and leave when something fails."""

import csv
import os

import pytest

pytest.importorskip("lightning_fabric")

import small_datasets
from command import invoke as run

from fastcam.data.synthetic import write_synthetic
from fastcam.evaluation import Row, write_rows
from fastcam.lock import locked

SMALL = ["--model", "vgg16", "--model-option", "width=0.0625", "--epochs", "1", "--batch-size", "8", "--device", "cpu"]
SMALL += ["--resize", "36", "--crop", "32", "--workers", "0"]


@pytest.fixture(autouse=True)
def birds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_synthetic("birds", train=16, test=4, classes=2, size=32)
    return tmp_path


@pytest.mark.parametrize("command", ["train", "ablate", "evaluate"])
def test_the_second_into_one_folder_is_refused(command, birds):
    if command == "evaluate":
        asked = ["evaluate", "--model", "efficientnet-lite0", "--data", "birds", "--map-class", "predicted"]
    else:
        asked = [command, "--data", "birds", *SMALL]
    with locked(birds / "out"):
        message = run(*asked, "--out", "out", code=1).output
    assert "another run writes to this folder" in message
    assert str(os.getpid()) in message
    assert os.listdir("out") == []


def test_the_numbers_are_printed_where_the_report_cannot_be_saved(birds):
    run("train", "--data", "birds", *SMALL, "--out", "run", "--no-test", code=0)
    (birds / "report" / "evaluation.json").mkdir(parents=True)
    asked = ["evaluate", "--checkpoint", "run/last.pt", "--data", "birds", "--out", "report", "--workers", "0"]
    result = run(*asked, code=1)
    assert "| GT-Loc, IoU 0.5" in result.output
    assert "localization: " in result.output
    assert "Is a directory" in result.output
    assert [name for name in os.listdir("report") if name.endswith(".tmp")] == []


def test_a_checkpoint_that_names_code_is_refused_by_every_command(birds):
    import torch

    run("train", "--data", "birds", *SMALL, "--out", "run", "--no-test", code=0)
    (birds / "innocent.py").write_text("open('ran', 'w')\ndef run():\n    open('ran', 'w')\n")
    content = torch.load("run/last.pt")
    for model in ("innocent:run", "os:abort"):
        torch.save({**content, "config": {**content["config"], "model": model}}, "hostile.pt")
        for command in (
            ["evaluate", "--checkpoint", "hostile.pt", "--data", "birds"],
            ["localize", "--model", "hostile.pt", "birds/images", "--out", "boxes"],
            ["localize", "--model", "vgg16", "--weights", "hostile.pt", "birds/images", "--out", "boxes"],
        ):
            message = run(*command, code=2).output
            assert "Traceback" not in message
        assert not (birds / "ran").exists()


def test_rows_of_names_that_end_lines_are_read_back_whole(tmp_path):
    names = ["a\rb", "a\nb", "a\r\nb", "plain"]
    write_rows(tmp_path / "a.csv", [Row(name, 1) for name in names])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == names


def test_metadata_that_leads_out_of_its_folder_is_named_with_its_line(birds):
    small_datasets.metadata(birds / "meta", {"../x.png": (0, (64, 48), ["0,0,9,9"])})
    asked = ["evaluate", "--metadata", "meta", "--images", "birds", "--model", "efficientnet-lite0"]
    assert "image_ids.txt:1: path must lie below its folder" in " ".join(run(*asked, code=1).output.split())
