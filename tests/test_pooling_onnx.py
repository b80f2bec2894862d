"""Networks with fastcam's poolings as ONNX files, by both exporters of PyTorch, in onnxruntime."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import fastcam
from fastcam.pooling import GAP, GMP, LSE

# Of the exporters' own making: PyTorch warns of its older one, and of parts of itself.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning")]

NEW = {"dynamo": True, "verbose": False}
OLD = {"dynamo": False, "input_names": ["x"]}
N, H, W = (torch.export.Dim(name) for name in "nhw")
ANY_SIZE = {True: {"dynamic_shapes": ({0: N, 2: H, 3: W},)}, False: {"dynamic_axes": {"x": {0: "n", 2: "h", 3: "w"}}}}


@pytest.fixture
def run(tmp_path):
    """Returns the outputs of a model in onnxruntime."""
    return partial(_run, tmp_path / "model.onnx")


def _run(file, model, example, *inputs, **options):
    torch.onnx.export(model, (example,), file, **options)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [torch.from_numpy(session.run(None, {name: np.asarray(x)})[0]) for x in inputs]


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("exporter", [{**NEW, "opset_version": 18}, {**OLD, "opset_version": 17}], ids=["new", "old"])
@pytest.mark.parametrize(
    "pool", [fastcam.TAP(0.1), fastcam.TAP(0.0, keepdim=True), GAP(), GMP(keepdim=True), LSE(2)], ids=str
)
def test_a_network_of_any_batch_and_size(run, pool, exporter):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(8, 4)).eval()
    inputs = draw(5, 3, 17, 9), draw(1, 3, 12, 12)
    found = run(model, draw(2, 3, 12, 12), *inputs, **exporter, **ANY_SIZE[exporter["dynamo"]])
    for x, logits in zip(inputs, found, strict=True):
        torch.testing.assert_close(logits, model(x).detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("exporter", [NEW, OLD], ids=["new", "old"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_channels_without_positive_values_and_with_special_ones(run, exporter, dtype, threshold):
    x = draw(1, 6, 3, 4).to(dtype)
    x[0, 0] = -x[0, 0].abs()
    x[0, 1] = 0
    x[0, 2, 1, 1] = torch.nan
    x[0, 3, 2, 2] = torch.inf
    x[0, 4, 0, 0] = -torch.inf
    pool = fastcam.TAP(threshold).eval()
    (found,) = run(pool, draw(1, 6, 3, 4).to(dtype), x, **exporter)
    torch.testing.assert_close(found, pool(x), equal_nan=True)


def test_elsewhere_the_operator_stays_itself():
    assert [node.target for node in torch.export.export(fastcam.TAP(0.1), (draw(1, 2, 3, 3),)).graph.nodes][1] == (
        torch.ops.fastcam.tap.default
    )
