"""TAP where something else runs it: torch.fx, TorchScript, programs of PyTorch's own operators; other tensors."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from libraries import library
from torch import nn

import fastcam
from fastcam.pooling import GAP, GMP, LSE, decompositions, gap, gmp, lse

X = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def network(pool):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(8, 4)).eval()


@pytest.mark.parametrize("pool", [fastcam.TAP(0.1), fastcam.TAP(0.1, keepdim=True), GAP(), GMP(), LSE(2)], ids=str)
def test_fx_traces_a_pooling_as_one_call(pool):
    model = network(pool)
    traced = torch.fx.symbolic_trace(model)
    name = type(pool).__name__.lower()
    assert getattr(fastcam.pooling, name) in [node.target for node in traced.graph.nodes]
    assert torch.equal(traced(X), model(X))


@pytest.mark.parametrize("function", [lambda x: fastcam.tap(x, 0.1), gap, gmp, lse], ids=["tap", "gap", "gmp", "lse"])
def test_fx_traces_the_functions(function):
    traced = torch.fx.symbolic_trace(lambda x: function(x.relu()) + 1)
    assert torch.equal(traced(X), function(X.relu()) + 1)


def test_a_feature_extractor_of_torchvision_passes_through():
    extraction = library("torchvision.models.feature_extraction")
    model = network(fastcam.TAP(0.1))
    found = extraction.create_feature_extractor(model, {"1": "features", "4": "logits"})(X)
    assert torch.equal(found["features"], model[:2](X))
    assert torch.equal(found["logits"], model(X))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("keepdim", [False, True])
def test_torchscript_compiles_the_module(keepdim):
    pool = fastcam.TAP(0.1, keepdim=keepdim)
    assert torch.equal(torch.jit.script(pool)(X), pool(X))


def test_a_subclass_of_tensors_keeps_its_class():
    class Labelled(torch.Tensor):
        pass

    pooled = fastcam.tap(X.as_subclass(Labelled), 0.1)
    assert type(pooled) is Labelled
    assert torch.equal(pooled.as_subclass(torch.Tensor), fastcam.tap(X, 0.1))


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_decomposed_program_runs_where_fastcam_is_not_imported(tmp_path):
    model = network(fastcam.TAP(0.1))
    program = torch.export.export(model, (X,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    program = program.run_decompositions(decompositions())
    assert not [node for node in program.graph.nodes if "fastcam" in str(node.target)]
    torch.export.save(program, tmp_path / "program.pt2")
    x = torch.cat((X, X.flip(0) - 0.5, X[:1]))
    torch.save((x, model(x).detach()), tmp_path / "wanted.pt")
    code = (
        "import sys, torch\n"
        "x, wanted = torch.load('wanted.pt')\n"
        "torch.testing.assert_close(torch.export.load('program.pt2').module()(x), wanted)\n"
        "assert 'fastcam' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, cwd=tmp_path)


@pytest.mark.filterwarnings("ignore")  # those of the exporter, which differ from version to version
def test_onnx_holds_what_pooling_means():
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs it")
    runtime = pytest.importorskip("onnxruntime", reason="it runs the file")
    pool = fastcam.TAP(0.1).eval()
    program = torch.onnx.export(pool, (X,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("n", min=1)},))
    x = torch.cat((X, -X, X - 0.5))
    x[0, 0, 0, 0], x[1, 1, 2, 3] = torch.inf, 3e38
    buffer = io.BytesIO()
    program.save(buffer)
    session = runtime.InferenceSession(buffer.getvalue())
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, pool(x).numpy(), rtol=1e-5)


OTHERS = {
    "sparse": (lambda x: x.to_sparse(), "layout torch.sparse_coo; x.to_dense"),
    "mkldnn": (lambda x: x.to_mkldnn(), "layout torch._mkldnn; x.to_dense"),
    "nested": (lambda x: torch.nested.nested_tensor(list(x)), "got a nested tensor"),
    "jagged": (lambda x: torch.nested.nested_tensor(list(x), layout=torch.jagged), "got a nested tensor"),
}


@pytest.mark.filterwarnings("ignore:.*nested:UserWarning")
@pytest.mark.parametrize("function", [lambda x: fastcam.tap(x, 0.1), fastcam.TAP(0.1), gap, gmp, lse])
@pytest.mark.parametrize("kind", OTHERS)
def test_a_tensor_that_is_not_dense_is_named(kind, function):
    make, message = OTHERS[kind]
    if kind == "mkldnn" and not torch.backends.mkldnn.is_available():
        pytest.skip("this build has no oneDNN")
    with pytest.raises(TypeError, match=f"x must be a dense tensor .*{message}"):
        function(make(X))


@pytest.mark.parametrize("function", [lambda x: fastcam.tap(x, 0.1), gap, gmp, lse])
def test_a_tensor_without_values_gives_the_shape(function):
    assert function(X.to("meta")).shape == (2, 3)
