"""fastcam_numpy beside fastcam. The package is put together here from its source and the library that was built."""

import doctest
import importlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from cases import heat_maps
from numpy_package import BUILDS, ROOT, write_site

import fastcam
from fastcam.protocol import NAMED

MAPS = torch.stack(list(heat_maps(7, 9).values())).numpy()

pytestmark = pytest.mark.skipif(not BUILDS, reason="libfastcam is not built (make .make/test builds it)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def numpy_package(site):
    sys.path.insert(0, str(site))
    yield importlib.import_module("fastcam_numpy")
    sys.path.remove(str(site))


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("size", [None, (50, 44)])
def test_boxes_of_maps(numpy_package, name, size):
    found = numpy_package.boxes_from_maps(MAPS, size=size, protocol=name, threads=2)
    wanted = fastcam.boxes_from_maps(torch.from_numpy(MAPS), size=size or (7, 9), protocol=NAMED[name])
    assert np.array_equal(found.boxes, wanted.boxes.numpy())
    assert np.array_equal(found.areas, wanted.areas.numpy())
    assert np.array_equal(found.thresholds, wanted.thresholds.numpy())


@pytest.mark.parametrize(
    "fields", [{"threshold": 0.5, "quantize": np.bool_(True)}, {"threshold": "otsu", "connectivity": 4}], ids=str
)
def test_fields_are_those_of_the_protocol(numpy_package, fields):
    found = numpy_package.boxes_from_maps(MAPS, size=(40, 30), **fields)
    plain = {name: bool(value) if isinstance(value, np.bool_) else value for name, value in fields.items()}
    wanted = fastcam.boxes_from_maps(torch.from_numpy(MAPS), size=(40, 30), protocol=fastcam.PAPER.replace(**plain))
    assert np.array_equal(found.boxes, wanted.boxes.numpy())


def test_objects_however_many_there_are(numpy_package):
    noise = np.random.default_rng(0).random((3, 60, 70), dtype=np.float32)
    found = numpy_package.objects_from_maps(noise, connectivity=4, threshold=0.8, high_threshold=None)
    every = fastcam.PAPER.replace(keep="all", connectivity=4, threshold=0.8)
    wanted = fastcam.boxes_from_maps(torch.from_numpy(noise), protocol=every)
    assert len(found.boxes) > 4 * 3 + 16
    rows = np.column_stack([found.image, found.boxes, found.areas, found.scores])
    expected = np.column_stack([wanted.image, wanted.boxes, wanted.areas, wanted.scores])
    assert sorted(rows.tolist()) == sorted(expected.tolist())


def test_boxes_of_masks(numpy_package):
    masks = np.random.default_rng(0).random((4, 20, 30)) > 0.5
    for area in ("pixels", "polygon"):
        found = numpy_package.boxes_from_masks(masks[:, ::-1], area=area, connectivity=4)
        flipped = torch.from_numpy(np.ascontiguousarray(masks[:, ::-1]))
        wanted = fastcam.boxes_from_masks(flipped, area=area, connectivity=4)
        assert np.array_equal(found.boxes, wanted.boxes.numpy())
        assert np.array_equal(found.areas, wanted.areas.numpy())
    assert found.thresholds is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.boxes_from_maps(MAPS, protocol="papers"), ValueError, "protocol='papers' is unknown: a protocol"),
        (lambda f: f.boxes_from_maps(MAPS, protocol=3), TypeError, "protocol must be a name, got 3"),
        (lambda f: f.boxes_from_maps(MAPS, treshold=0.5), TypeError, "a protocol has no field 'treshold'"),
        (lambda f: f.boxes_from_maps(MAPS, threshold=1.5), ValueError, "threshold=1.5 is no value of that field"),
        (lambda f: f.boxes_from_maps(MAPS, high_threshold=0.9), ValueError, "high_threshold acts on all components"),
        (lambda f: f.boxes_from_maps(MAPS * 1j), TypeError, "maps must be real numbers, got complex"),
        (
            lambda f: f.boxes_from_maps(MAPS[0, 0]),
            ValueError,
            r"maps must be \(N, H, W\) or \(H, W\), got shape \(9,\)",
        ),
        (lambda f: f.boxes_from_maps(MAPS, size=(0, 5)), ValueError, "each height and width must be at least 1"),
        (lambda f: f.boxes_from_maps(MAPS, size=(5.0, 5)), TypeError, "H must be a whole number, got 5.0"),
        (lambda f: f.boxes_from_maps(MAPS, size=(5, 5, 5)), ValueError, r"size must be \(H, W\)"),
        (lambda f: f.boxes_from_maps(MAPS, size=(2**40, 5)), ValueError, "H must be at most 2147483647"),
        (lambda f: f.boxes_from_maps(MAPS, threads=-1), ValueError, "count, capacity and threads must not be negative"),
        (lambda f: f.boxes_from_masks(MAPS), TypeError, "masks must be bool or uint8, got float32"),
        (lambda f: f.boxes_from_masks(np.eye(3, dtype=bool), area="x"), ValueError, "area must be 'pixels' or"),
        (
            lambda f: f.boxes_from_masks(np.eye(3, dtype=bool), connectivity=5),
            ValueError,
            "connectivity must be 4 or 8",
        ),
        (lambda f: f.boxes_from_masks(np.zeros((2, 0, 3), bool)), ValueError, "each height and width must be"),
    ],
)
def test_errors_name_what_is_wrong(numpy_package, call, error, message):
    with pytest.raises(error, match=message):
        call(numpy_package)


def test_examples(numpy_package):
    module = importlib.import_module(f"{numpy_package.__name__}.boxes")
    results = doctest.testmod(module)
    assert results.attempted >= 6
    assert results.failed == 0


def test_neither_torch_nor_fastcam_is_imported(site):
    code = (
        "import sys; sys.modules.update(torch=None, fastcam=None); import fastcam_numpy, numpy; "
        "print(fastcam_numpy.boxes_from_maps(numpy.eye(4)).boxes.tolist())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[[0.0, 0.0, 4.0, 4.0]]\n"


def test_a_package_without_its_library_says_so(site, tmp_path):
    shutil.copytree(site / "fastcam_numpy", tmp_path / "fastcam_numpy", ignore=shutil.ignore_patterns("*.so"))
    run = subprocess.run(
        [sys.executable, "-c", "import fastcam_numpy"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "libfastcam.so or libfastcam.dylib must stand in" in run.stderr


def test_both_packages_have_one_version():
    versions = {
        next(line for line in path.read_text().splitlines() if line.startswith("version = "))
        for path in (ROOT / "pyproject.toml", ROOT / "without_torch" / "pyproject.toml")
    }
    assert len(versions) == 1
