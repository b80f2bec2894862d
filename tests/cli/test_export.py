"""``fastcam export``."""

import json

import pytest
import torch
from command import PLAIN, CliRunner, main

pytestmark = [
    pytest.mark.usefixtures("here"),
    *(pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")),
]


def export(*arguments):
    return CliRunner().invoke(main, ["export", *arguments, "--model", "toy_network:ready", "--device", "cpu", *PLAIN])


def test_a_file_is_written():
    result = export("network.pt2", "--format", "pt2", "--what", "boxes")
    assert result.exit_code == 0, result.output
    extra = {"size": ""}
    x = torch.zeros(3, 3, 64, 64)
    x[:, 0, 16:32, 8:40] = 1
    assert torch.export.load("network.pt2", extra_files=extra).module()(x)[0].argmax(1).tolist() == [0, 0, 0]
    assert json.loads(extra["size"]) == [64, 64]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["network.onnx", "--what", "boxes"], "Invalid value for --what: "),
        (["network.onnx", "--format", "pt2"], "Invalid value for PATH: "),
        (["nowhere/network.onnx"], "nowhere: No such folder"),
        (["network.onnx", "--top-k", "9"], "Invalid value for --top-k: 9 of 3 classes"),
    ],
)
def test_what_is_refused(arguments, message):
    result = export(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
