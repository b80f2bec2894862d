"""On a GPU the host waits for nothing on the way to boxes, so that a CUDA graph can hold all of it.

Tensors without memory stand for those on the GPU, and launches are left out: what is watched is every operation of
PyTorch around them.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import product

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import fastcam
from fastcam import activation
from fastcam.ops import activation as sums
from fastcam.ops import components, gpu, localization, masks, objects_by_kernels
from fastcam.protocol import NAMED

# What gives the host a number, or a result whose size depends on the values.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique_dim", "_unique2"}
# What makes a tensor of the host's numbers, or numbers of a tensor; a tensor without memory would not say.
BY_NAME = {"tensor", "as_tensor", "new_tensor", "item", "tolist", "cpu", "numpy"}


@contextmanager
def watched():
    """Give a list of what the host waited for."""
    waits = []

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            name = function.name().removeprefix("aten::").split(".")[0]
            tensors = [one for one in (*args, result) if isinstance(one, torch.Tensor)]
            moved = name in ("_to_copy", "copy_") and len({one.device.type for one in tensors}) > 1
            if name in WAITING or moved:
                waits.append(name)
            return result

    class Calls(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            name = getattr(function, "__name__", "")
            if name in BY_NAME or (name == "repeat_interleave" and "output_size" not in (kwargs or {})):
                waits.append(name)
            return function(*args, **(kwargs or {}))

    with Operations(), Calls():
        yield waits


class NoLaunch:
    """Stands for a kernel."""

    def __init__(self):
        self.launches = 0

    def __getitem__(self, grid):
        def launch(*_, **__):
            self.launches += 1

        return launch


@pytest.fixture
def on_gpu(monkeypatch, implementation):
    """Operators run what they run on CUDA, for meta tensors; gives the kernels that are not launched."""
    pytest.importorskip("triton")
    from fastcam.kernels import activation as cam_kernels
    from fastcam.kernels import components as component_kernels
    from fastcam.kernels import masks as mask_kernels
    from fastcam.kernels import objects as object_kernels
    from fastcam.kernels import resize

    names = [
        (cam_kernels, ("_partial_sums", "_add_up")),
        (mask_kernels, ("widen", "find_threshold", "_mask")),
        (component_kernels, ("_largest", "_every")),
        (object_kernels, ("_objects",)),
    ]
    stubs = {}
    for module, of_module in names:
        for name in of_module:
            stubs[name] = NoLaunch()
            monkeypatch.setattr(module, name, stubs[name])
    monkeypatch.setattr(sums, "cam", implementation("cam", "CUDA"))
    monkeypatch.setattr(localization, "locate", implementation("locate", "any device"))
    monkeypatch.setattr(localization, "binarize", implementation("binarize", "CUDA"))
    monkeypatch.setattr(objects_by_kernels, "binarize", implementation("binarize", "CUDA"))
    monkeypatch.setattr(localization, "largest", implementation("largest", "CUDA"))
    cached = (gpu.kernels_run_on, resize.axis_on, resize.segments_on)
    for one in cached:
        one.cache_clear()
    yield stubs
    for one in cached:
        one.cache_clear()


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("parts", [(False, False), (True, True)], ids=["boxes", "maps and masks"])
def test_localizing_waits_for_nothing(name, parts, on_gpu):
    features = torch.empty((4, 32, 14, 14), device="meta", dtype=torch.bfloat16)
    weight, index = features.new_empty((10, 32)), torch.empty(4, device="meta", dtype=torch.int64)
    given = features, weight, index, 224, 224, *NAMED[name].values, *parts

    def run():
        return localization._localize_any_device(*given)

    run()  # uploads the tables of the resize
    before = on_gpu["_largest"].launches
    with watched() as waits:
        boxes, areas, *_ = run()
    assert waits == []
    assert boxes.is_meta
    assert (boxes.shape, areas.shape) == ((4, 4), (4,))
    assert on_gpu["_largest"].launches == before + 2


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("fields", [{}, {"scores": "mean", "order": "highest"}, {"high_threshold": 0.9}], ids=str)
def test_all_boxes_in_rows_wait_for_nothing(name, fields, on_gpu):
    maps = torch.empty((4, 14, 14), device="meta")
    values = NAMED[name].replace(keep="all", max_boxes=5, **fields).values

    def run():
        return objects_by_kernels.padded_by_kernels(maps, 224, 224, *values)

    run()  # uploads the tables of the resize
    before = on_gpu["_objects"].launches
    with watched() as waits:
        boxes, areas, scores, counts, _ = run()
    assert waits == []
    assert [tuple(part.shape) for part in (boxes, areas, scores, counts)] == [(4, 5, 4), (4, 5), (4, 5), (4,)]
    assert on_gpu["_objects"].launches == before + 2


@pytest.mark.parametrize(("area", "packed"), list(product(("pixels", "polygon"), (False, True))))
def test_boxes_of_masks_wait_for_nothing(area, packed, on_gpu):
    plain = torch.empty((3, 100, 200), dtype=torch.uint8, device="meta")
    with watched() as waits:
        given = masks.pack(plain) if packed else plain
        boxes, areas = localization.largest(given, 200, area, 8)
    assert waits == []
    assert boxes.shape == (3, 4)
    assert areas.dtype == (torch.float64 if area == "polygon" else torch.int64)
    assert on_gpu["_largest"].launches == 2


@pytest.mark.usefixtures("on_gpu")
def test_what_waits_is_seen():
    x = torch.ones(3, device="meta")
    for wait in (lambda: x.new_tensor([1, 2]), lambda: torch.ones(2).to("meta"), lambda: torch.tensor(1.0)):
        with watched() as waits:
            wait()
        assert waits


@pytest.mark.parametrize(
    ("shape", "taken"), [((3, 1024, 1024), True), ((3, 1024, 1025), False), ((1, 40_000, 2), False)]
)
def test_masks_that_go_by_way_of_the_host(shape, taken, on_gpu):  # noqa: ARG001
    plain = torch.empty(shape, dtype=torch.bool, device="meta")
    assert components.kernels_take(plain.device, *shape[1:]) == taken


def test_an_index_on_the_gpu_beside_features_on_the_cpu_is_waited_for():
    copies = []

    class Copies(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function.name().split("::")[1].startswith(("_to_copy", "copy_")):
                copies.append(bool((kwargs or {}).get("non_blocking", False)))
            return function(*args, **(kwargs or {}))

    with FakeTensorMode(), Copies():
        index = torch.empty(3, dtype=torch.int64, device="cuda")
        assert activation.checked_index(index, 3, torch.device("cpu"), classes=5).device.type == "cpu"
    assert copies == [False]


@pytest.mark.parametrize("name", NAMED)
def test_boxes_end_as_the_protocol_says(name):
    heat = torch.zeros(3, 6, 9)
    heat[0, 2:5, 4:], heat[1, 1, 1] = 1, 1
    found = fastcam.boxes_from_maps(heat, protocol=NAMED[name].replace(normalize="none", quantize=False))
    right, bottom = (8, 5) if NAMED[name].box_end == "clipped" else (9, 6)
    empty = [0, 0, 9, 6] if NAMED[name].empty == "image" else [0, 0, 0, 0]
    assert found.boxes.tolist() == [[4, 2, right, min(bottom, 5)], [1, 1, 2, 2], empty]
