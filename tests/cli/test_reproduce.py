"""``fastcam reproduce``: a group whose commands are loaded when they are called."""

import json

import pytest
from click.testing import CliRunner
from command import invoke

from fastcam.checkpoint import read_checkpoint
from fastcam.cli.ablate import ablate
from fastcam.cli.main import main
from fastcam.cli.reproduce import reproduce
from fastcam.data.synthetic import write_synthetic

SMALL = ["--model-option", "width=0.0625", "--crop", "32", "--resize", "32", "--epochs", "1", "--workers", "0"]


@pytest.fixture
def birds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_synthetic("birds", train=32, test=12, classes=2, size=32)
    return tmp_path


def run(*arguments, code=0):
    return invoke("reproduce", *arguments, code=code)


def test_the_tables_are_listed():
    assert {"table1", "table2", "table3", "table4"} <= set(reproduce.list_commands(None))
    assert reproduce.get_command(None, "table3") is ablate
    for name in ("table1", "table2", "table4"):
        assert "--budget MINUTES" in run(name, "--help").output
    assert "No such command 'table9'" in run("table9", code=2).output


def test_rows_of_a_table(birds):
    options = ["--data", "birds", "--out", "out", *SMALL, "--no-choose", "--seeds", "1", "--rows", "vgg16/has"]
    result = run("table1", *options, "--metric", "maxboxaccv2")
    assert "| VGG16 | HaS + Ours |" in result.output
    assert (birds / "out" / "table1.md").read_text() in result.output
    assert json.loads((birds / "out" / "table1.json").read_text())["seeds"] == [0]
    assert "MaxBoxAccV2" in result.output


def test_rows_of_table_3(birds):
    options = ["--data", "birds", "--out", "out", "--model", "vgg16", "--crop", "32", "--workers", "0"]
    narrow = ["--model-option", "width=0.0625", "--seeds", "1", "--rows", "NWC"]
    (birds / "a.yaml").write_text("weights: null\n")
    run("table3", "a.yaml", *options, *narrow)
    rows = json.loads((birds / "out" / "ablation.json").read_text())["families"]["AUTHORS"]
    assert [row["name"] for row in rows] == ["baseline", "NWC"]


@pytest.mark.usefixtures("birds")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "hass"], "row 'hass' is not in the table; there are"),
        (["--budget", "0"], "0"),
        (["--budget", "0.0001"], "minutes is spent before the first row has a number"),
        (["--data", "nowhere"], "'nowhere' is no folder"),
        (["--metric", "pxap"], "PxAP is judged by masks"),
    ],
)
def test_wrong_input(options, message):
    given = ["--data", "birds", "--out", "out", *SMALL, "--no-choose", "--seeds", "1", "--rows", "vgg16/has", *options]
    result = run("table1", *given, code=2 if options == ["--budget", "0"] else 1)
    assert message in result.output


@pytest.mark.parametrize(("flag", "pooling", "protocol"), [("--ours", "tap", "paper"), ("--no-ours", "gap", "vanilla")])
def test_train_with_the_techniques_or_without(birds, flag, pooling, protocol):
    options = [
        "train",
        "--data",
        "birds",
        "--model",
        "vgg16",
        "--method",
        "has",
        *SMALL,
        "--batch-size",
        "8",
        "--tap-threshold",
        "0.2",
    ]
    assert CliRunner().invoke(main, [*options, flag, "--out", "run"]).exit_code == 0
    assert json.loads((birds / "run" / "results.json").read_text())["protocol"] == protocol
    config = read_checkpoint(birds / "run" / "last.pt")["config"]
    assert (config["pooling"], config["tap_threshold"]) == (pooling, 0.2 if pooling == "tap" else None)
    for given in (["--pooling", "gmp"], ["--protocol", "authors"]):
        refused = CliRunner().invoke(main, [*options, flag, "--out", "other", *given])
        assert "--ours and --no-ours say --pooling and --protocol" in refused.output
        assert refused.exit_code == 2
    refused = CliRunner().invoke(main, [*options, "--method", "acol", "--ours", "--out", "other"])
    assert "method 'acol' has no form with the three techniques: its map is" in refused.output
