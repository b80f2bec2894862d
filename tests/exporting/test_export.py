"""Networks as files: what they give elsewhere is what PyTorch's own operations, and ``localize``, give here."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

import fastcam
from fastcam.exporting import ExportError, export

SIZE = (32, 48)
CLASSES = ("cat", "dog", "rocket")
PADDED = fastcam.PAPER.replace(keep="all", max_boxes=4)

# Run where fastcam cannot be imported: `torch.export.load` must find everything in the file.
ALONE = """
import sys, torch
sys.modules["fastcam"] = None
file, given, result = sys.argv[1:]
model = torch.export.load(file).module() if "aoti" not in file else torch._inductor.aoti_load_package(file)
torch.save(list(model(torch.load(given))), result)
assert not any(name.startswith("fastcam.") for name in sys.modules)
"""

# Of PyTorch's own making: its exporters and compilers warn of parts of themselves.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
]


def network_with(pool):
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU())
    model = nn.Sequential(body, pool, nn.Flatten(), nn.Linear(8, 3)).eval()
    return fastcam.load(model, features="0", classifier="3", classes=CLASSES, size=SIZE, device="cpu")


@pytest.fixture(scope="module")
def network():
    return network_with(fastcam.TAP(0.1))


@pytest.fixture(scope="module")
def images():
    return torch.randn(5, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def wanted(network, images, clamp=True):
    """The logits and the maps, by PyTorch's operations."""
    with torch.no_grad():
        logits, features = network.model(images), network.model[0](images)
        rows = network.model[3].weight[logits.argmax(1)]
        return logits, torch.einsum("nc,nchw->nhw", rows.clamp_min(0) if clamp else rows, features)


def in_onnxruntime(file, images):
    session = pytest.importorskip("onnxruntime").InferenceSession(file, providers=["CPUExecutionProvider"])
    found = [torch.from_numpy(part) for part in session.run(["logits", "maps"], {"images": images.numpy()})]
    return found, session.get_modelmeta().custom_metadata_map


@pytest.mark.parametrize("clamp", [True, False])
def test_onnx_has_logits_and_maps_of_any_number_of_images(network, images, tmp_path, clamp):
    onnx = pytest.importorskip("onnx")
    protocol = fastcam.AUTHORS.replace(clamp_negative=clamp)
    file = export(network, tmp_path / "network.onnx", protocol=protocol)
    for some in (images, images[:1]):
        found, metadata = in_onnxruntime(file, some)
        for one, right in zip(found, wanted(network, some, clamp), strict=True):
            torch.testing.assert_close(one, right, rtol=1e-5, atol=1e-6)
    graph = onnx.load(file)
    assert {node.domain for node in graph.graph.node} == {""}
    assert not graph.functions
    values = {name: json.loads(text) for name, text in metadata.items()}
    assert values["labels"] == list(CLASSES)
    assert values["size"] == list(SIZE)
    assert values["mean"] == [0.485, 0.456, 0.406]
    assert values["std"] == [0.229, 0.224, 0.225]
    assert values["protocol"]["clamp_negative"] is clamp
    assert values["protocol"]["interpolation"] == "bicubic"


def alone(file, images, tmp_path):
    given, result = tmp_path / "given.pt", tmp_path / "result.pt"
    torch.save(images, given)
    subprocess.run([sys.executable, "-W", "ignore", "-c", ALONE, file, given, result], check=True, cwd=tmp_path)
    return torch.load(result)


def test_pt2_of_maps_loads_without_fastcam(network, images, tmp_path):
    file = fastcam.export(network, tmp_path / "network.pt2", "pt2")
    for one, right in zip(alone(file, images, tmp_path), wanted(network, images), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-5, atol=1e-6)
    extra = {"labels": "", "outputs": ""}
    torch.export.load(file, extra_files=extra)
    assert json.loads(extra["labels"]) == list(CLASSES)
    assert json.loads(extra["outputs"]) == ["logits", "maps"]


@pytest.mark.parametrize("protocol", [fastcam.PAPER, fastcam.AUTHORS], ids=["paper", "authors"])
@pytest.mark.parametrize("top_k", [None, 2])
def test_pt2_of_boxes(network, images, tmp_path, protocol, top_k):
    file = export(network, tmp_path / "network.pt2", "pt2", protocol=protocol, what="boxes", top_k=top_k)
    logits, boxes = torch.export.load(file).module()(images)
    right = network.extractor.localize(images, top_k=top_k, protocol=protocol)
    assert torch.equal(logits, right[0])
    assert torch.equal(boxes, right[1].boxes)


def test_pt2_of_all_boxes_in_a_fixed_number_of_rows(network, images, tmp_path):
    file = export(network, tmp_path / "network.pt2", "pt2", protocol=PADDED, what="boxes")
    _, boxes, scores, counts = torch.export.load(file).module()(images)
    _, right = network.extractor.localize(images, protocol=PADDED)
    there = torch.arange(4) < counts[:, None]
    assert torch.equal(boxes[there], right.boxes)
    assert torch.equal(scores[there], right.scores)
    assert not boxes[~there].any()


@pytest.mark.parametrize("cam", ["auto", "cam"])
def test_a_network_whose_maps_are_found(images, tmp_path, cam):
    model = network_with(nn.AdaptiveAvgPool2d(1)).model
    network = fastcam.load(model, cam=cam, size=SIZE, device="cpu")
    file = export(network, tmp_path / "network.pt2", "pt2")
    extra = {"what": "", "labels": ""}
    found = torch.export.load(file, extra_files=extra).module()(images)
    for one, right in zip(found, wanted(network, images), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-5, atol=1e-6)
    assert extra["labels"] == ""  # nobody named the classes


def test_finished_maps_of_a_method(tmp_path):
    from fastcam.methods import MethodExtractor, create_method
    from fastcam.models import VGG16
    from fastcam.network import Network

    torch.manual_seed(0)
    model, method = VGG16(num_classes=3, width=1 / 16).eval(), create_method("acol")
    method.attach(model)
    method.eval()
    inputs = fastcam.load(model, size=(64, 64), device="cpu").inputs
    network = Network("acol", model, MethodExtractor(model, method), inputs, CLASSES, torch.device("cpu"))
    x = torch.randn(3, 3, 64, 64)
    file = export(network, tmp_path / "network.pt2", "pt2")
    logits, maps = torch.export.load(file).module()(x)
    with torch.no_grad():
        right = network.extractor.extract(x)
    torch.testing.assert_close(logits, right.logits)
    torch.testing.assert_close(maps, right.maps(), rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_aoti_of_maps_runs_without_fastcam_and_of_boxes_with_it(network, images, tmp_path):
    file = export(network, tmp_path / "aoti_maps.pt2", "aoti")
    for one, right in zip(alone(file, images, tmp_path), wanted(network, images), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-5, atol=1e-5)
    file = export(network, tmp_path / "aoti_boxes.pt2", "aoti", what="boxes")
    package = torch._inductor.aoti_load_package(str(file))
    assert torch.equal(package(images)[1], network.extractor.localize(images)[1].boxes)
    assert json.loads(package.get_metadata()["labels"]) == list(CLASSES)


class Unclear(nn.Module):
    """Its output depends on its input's values, by a way that no tracer follows."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x if float(x.sum()) > 0 else x * 1)


def test_what_cannot_be_traced_leaves_the_file_that_was_there(network, tmp_path):
    file = tmp_path / "network.pt2"
    file.write_text("before")
    unclear = fastcam.load(Unclear(network.model), features="model.0", classifier="model.3", size=SIZE, device="cpu")
    with pytest.raises(ExportError, match="Unclear cannot be written as 'pt2'"):
        export(unclear, file, "pt2")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"format": "tflite"}, ExportError, "format must be one of 'onnx', 'pt2', 'aoti', got 'tflite'"),
        ({"what": "masks"}, ExportError, "what must be 'maps' or 'boxes', got 'masks'"),
        ({"what": "boxes"}, ExportError, "fastcam_numpy.boxes_from_maps"),
        ({"protocol": "paper"}, TypeError, "protocol must be a fastcam.Protocol, got 'paper'"),
        ({"format": "pt2"}, ExportError, r"path must end in \.pt2"),
        ({"path": "nowhere/network.onnx"}, FileNotFoundError, "nowhere"),
        ({"path": "."}, IsADirectoryError, ""),
        ({"path": "a.pt2", "format": "pt2", "what": "boxes", "protocol": PADDED.replace(max_boxes=None)}, ExportError,
         "protocol must have max_boxes"),
        ({"model_or_loaded": "resnet50"}, TypeError, "model_or_loaded must be a torch.nn.Module .* got str"),
        ({"model_or_loaded": nn.Conv2d(3, 8, 3)}, ExportError, ""),
        ({"top_k": 9}, ValueError, "top_k must lie in"),
    ],
)  # fmt: skip
def test_what_is_refused(network, tmp_path, monkeypatch, arguments, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        export(**{"model_or_loaded": network, "path": "network.onnx", **arguments})
    assert list(tmp_path.iterdir()) == []


def test_gradient_maps_are_refused(network, tmp_path):
    by_gradient = fastcam.load(network.model, features="0", cam="layer-cam", size=SIZE, device="cpu")
    with pytest.raises(ExportError, match="no class activation map of its own"):
        export(by_gradient, tmp_path / "network.onnx")


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(network, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"needs {missing}: pip install"):
        export(network, tmp_path / "network.onnx")


def test_a_missing_compiler_is_named(network, tmp_path, monkeypatch):
    from torch._inductor import cpp_builder, exc

    def none():
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(ExportError, match="needs a C\\+\\+ compiler"):
        export(network, tmp_path / "network.pt2", "aoti")


def test_the_function_is_loaded_when_it_is_asked_for():
    code = "import sys, fastcam; assert 'fastcam.exporting' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert fastcam.export is export
