"""libfastcam: what its C functions find equals what the package finds; what cannot be found is refused by a status."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import heat_maps

import fastcam
from fastcam import _C
from fastcam.protocol import NAMED

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = "sanitized" in str(_C.__file__)
BUILDS = sorted(ROOT.glob("build/sanitized" if SANITIZED else "build/cp3*"), key=lambda path: path.stat().st_mtime)
LIBRARY = BUILDS[-1] / "libfastcam.so" if BUILDS else Path("libfastcam.so")

if not LIBRARY.exists():
    pytest.skip("libfastcam is not built (make .make/test builds it)", allow_module_level=True)

NO_CLANG = pytest.mark.skipif(shutil.which("clang") is None, reason="there is no clang")

OK, NULL, NEGATIVE, SIZE, MEMORY, NAME, FIELD, VALUE, OF_ALL = range(9)
LAST_STATUS = 10


class Box(ctypes.Structure):
    _fields_ = [(name, ctypes.c_float) for name in ("x0", "y0", "x1", "y1")]


class Object(ctypes.Structure):
    _fields_ = [("box", Box), ("area", ctypes.c_double), ("score", ctypes.c_double), ("image", ctypes.c_int64)]


library = ctypes.CDLL(str(LIBRARY))
library.fastcam_message.restype = ctypes.c_char_p
library.fastcam_instruction_set.restype = ctypes.c_char_p
INT, LONG, POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p


class Protocol:
    """A protocol of the library, with some fields changed."""

    def __init__(self, name, **changes):
        self.text = f"{name} {changes}"
        self.handle = self._as_parameter_ = POINTER()
        assert library.fastcam_protocol_create(name.encode(), ctypes.byref(self.handle)) == OK
        for field, value in changes.items():
            assert self.set(field, value) == OK

    def set(self, field, value):
        return library.fastcam_protocol_set(self.handle, field.encode(), value.encode())

    def __repr__(self):  # names the tests, the same in every process
        return self.text

    def __del__(self):
        library.fastcam_protocol_destroy(self.handle)


def word(value):
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def address(array):
    pointer = POINTER(None if array is None else array.ctypes.data)
    pointer.array = array  # lives as long
    return pointer


def boxes_from_maps(maps, size, protocol, threads=1):
    boxes, areas = np.empty((len(maps), 4), np.float32), np.empty(len(maps))
    thresholds = np.empty(len(maps), np.float32)
    status = library.fastcam_boxes_from_maps(
        address(maps), LONG(len(maps)), *map(INT, maps.shape[1:]), *map(INT, size), protocol, INT(threads),
        address(boxes), address(areas), address(thresholds),
    )  # fmt: skip
    assert status == OK
    return boxes, areas, thresholds


def objects_from_maps(maps, size, protocol, capacity):
    objects, found = (Object * capacity)(), LONG(-1)
    status = library.fastcam_objects_from_maps(
        address(maps), LONG(len(maps)), *map(INT, maps.shape[1:]), *map(INT, size), protocol, INT(2),
        LONG(capacity), objects, ctypes.byref(found),
    )  # fmt: skip
    assert status == OK
    return objects, found.value


def boxes_from_masks(function, masks, shape, area, connectivity):
    boxes, areas = np.empty((len(masks), 4), np.float32), np.empty(len(masks))
    status = function(
        address(masks), LONG(len(masks)), *map(INT, shape), area.encode(), INT(connectivity), INT(1),
        address(boxes), address(areas),
    )  # fmt: skip
    assert status == OK
    return boxes, areas


MAPS = np.concatenate([torch.stack(list(heat_maps(7, 9, seed).values())).numpy() for seed in range(2)])
MAPS[2] = np.nan
MAPS[3, 1, 2] = np.inf
MAPS[4] = 0.5


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("size", [(7, 9), (64, 70), (33, 20)])
def test_boxes_of_maps_are_the_packages(name, size):
    boxes, areas, thresholds = boxes_from_maps(MAPS, size, Protocol(name), threads=2)
    wanted = fastcam.boxes_from_maps(torch.from_numpy(MAPS), size=size, protocol=NAMED[name])
    assert np.array_equal(boxes, wanted.boxes.numpy())
    assert np.array_equal(areas, wanted.areas.numpy().astype(np.float64))
    assert np.array_equal(thresholds, wanted.thresholds.numpy(), equal_nan=True)


CHANGES = [
    {"threshold": 0.6, "connectivity": 4, "area": "polygon"},
    {"threshold": "otsu", "normalize": "minmax", "quantize": True},
    {"threshold": "stable"},
    {"normalize": "ivr", "base_percentile": 30.0, "interpolation": "bicubic"},
    {"normalize": "pas", "percentile": 85.5, "box_end": "clipped", "empty": "image"},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_every_field_may_be_set(changes):
    protocol = Protocol("paper", **{name: word(value) for name, value in changes.items()})
    boxes, _, _ = boxes_from_maps(MAPS, (40, 44), protocol)
    wanted = fastcam.boxes_from_maps(torch.from_numpy(MAPS), size=(40, 44), protocol=fastcam.PAPER.replace(**changes))
    assert np.array_equal(boxes, wanted.boxes.numpy())


@pytest.mark.parametrize("changes", [{}, {"scores": "mean", "box_end": "clipped"}, {"high_threshold": 0.8}], ids=str)
def test_objects_are_the_packages(changes):
    protocol = Protocol("authors", **{name: word(value) for name, value in changes.items()})
    every = fastcam.AUTHORS.replace(keep="all", **changes)
    wanted = fastcam.boxes_from_maps(torch.from_numpy(MAPS), size=(40, 44), protocol=every)
    rows = sorted(
        zip(wanted.image.tolist(), wanted.boxes.tolist(), wanted.areas.tolist(), wanted.scores.tolist(), strict=True)
    )
    objects, found = objects_from_maps(MAPS, (40, 44), protocol, len(rows) + 5)
    assert found == len(rows) > len(MAPS)
    ours = [
        (one.image, [one.box.x0, one.box.y0, one.box.x1, one.box.y1], one.area, float(np.float32(one.score)))
        for one in objects[:found]
    ]
    assert sorted(ours) == rows
    assert [one[0] for one in ours] == sorted(one[0] for one in ours)
    # Without room for all of them, the first ones, and how many there are.
    few, again = objects_from_maps(MAPS, (40, 44), protocol, 3)
    assert again == found
    assert [bytes(one) for one in few] == [bytes(one) for one in objects[:3]]
    assert objects_from_maps(MAPS, (40, 44), protocol, 0)[1] == found


@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("width", [9, 64, 70])
def test_boxes_of_masks_are_the_packages(area, connectivity, width):
    masks = np.random.default_rng(width).random((12, 20, width)) > 0.6
    masks[3] = False
    wanted = fastcam.boxes_from_masks(torch.from_numpy(masks), area=area, connectivity=connectivity)
    packed = fastcam.PackedMasks.pack(torch.from_numpy(masks)).bits.contiguous().numpy()
    for function, given in (
        (library.fastcam_boxes_from_masks, masks.astype(np.uint8) * 7),
        (library.fastcam_boxes_from_packed_masks, packed),
    ):
        boxes, areas = boxes_from_masks(function, given, (20, width), area, connectivity)
        assert np.array_equal(boxes, wanted.boxes.numpy())
        assert np.array_equal(areas, wanted.areas.numpy().astype(np.float64))


def test_nothing_to_do():
    assert len(boxes_from_maps(np.empty((0, 3, 3), np.float32), (5, 5), Protocol("paper"))[0]) == 0
    assert objects_from_maps(np.empty((0, 3, 3), np.float32), (5, 5), Protocol("paper"), 0)[1] == 0
    library.fastcam_protocol_destroy(None)


def maps_call(**changes):
    """The status of a call with valid arguments but for the changes."""
    protocol = changes.pop("protocol", Protocol("paper"))
    arguments = {
        "maps": address(MAPS), "count": len(MAPS), "map_height": 7, "map_width": 9, "height": 14, "width": 18,
        "threads": 1, "boxes": address(np.empty((len(MAPS), 4), np.float32)),
    } | changes  # fmt: skip
    return library.fastcam_boxes_from_maps(
        arguments["maps"], LONG(arguments["count"]),
        *(INT(arguments[name]) for name in ("map_height", "map_width", "height", "width")),
        protocol, INT(arguments["threads"]), arguments["boxes"], None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, OK),
        ({"maps": None}, NULL),
        ({"boxes": None}, NULL),
        ({"protocol": None}, NULL),
        ({"count": -1}, NEGATIVE),
        ({"threads": -1}, NEGATIVE),
        ({"map_height": 0}, SIZE),
        ({"map_width": -3}, SIZE),
        ({"height": -(2**31)}, SIZE),
        ({"width": 2**31 - 1}, SIZE),
        ({"height": 2**24, "width": 2**24}, SIZE),
        ({"count": 2**62}, MEMORY),
        ({"protocol": Protocol("paper", high_threshold="0.9")}, OF_ALL),
        ({"protocol": Protocol("paper", threshold="stable"), "height": 65536}, SIZE),
    ],
    ids=str,
)
def test_bad_arguments_of_maps(changes, status):
    assert maps_call(**changes) == status


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer ends the process where memory cannot be had")
def test_memory_that_is_not_there_is_a_status():
    # So many results are refused by the allocator, before a map is read.
    assert maps_call(count=2**40, map_height=1, map_width=1) in (MEMORY, 9)


def objects_call(capacity, objects, found):
    return library.fastcam_objects_from_maps(
        address(MAPS), LONG(1), INT(7), INT(9), INT(7), INT(9), Protocol("paper"), INT(1),
        LONG(capacity), objects, found,
    )  # fmt: skip


def test_bad_arguments_of_objects():
    found = ctypes.byref(LONG())
    assert objects_call(0, None, found) == OK
    assert objects_call(0, None, None) == NULL
    assert objects_call(2, None, found) == NULL
    assert objects_call(-1, None, found) == NEGATIVE


def masks_call(function, data, count=1, height=4, width=5, area=b"pixels", connectivity=8, boxes=None):
    own = np.empty((1, 4), np.float32)
    return function(
        data, LONG(count), INT(height), INT(width), area, INT(connectivity), INT(1),
        address(own) if boxes is None else boxes, None,
    )  # fmt: skip


@pytest.mark.parametrize("function", [library.fastcam_boxes_from_masks, library.fastcam_boxes_from_packed_masks])
def test_bad_arguments_of_masks(function):
    data = address(np.zeros((1, 4, 8), np.uint64))
    assert masks_call(function, data) == OK
    assert masks_call(function, None) == NULL
    assert masks_call(function, data, area=None) == NULL
    assert masks_call(function, data, boxes=POINTER(None)) == NULL
    assert masks_call(function, data, count=-5) == NEGATIVE
    assert masks_call(function, data, height=0) == SIZE
    assert masks_call(function, data, width=2**30, height=2**24) == SIZE
    assert masks_call(function, data, count=2**62) == MEMORY
    assert masks_call(function, data, area=b"volume") == VALUE
    assert masks_call(function, data, connectivity=6) == VALUE


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("threshold", "0.3", OK), ("threshold", "1e-1", OK), ("threshold", "1.5", VALUE), ("threshold", "nan", VALUE),
        ("threshold", "0,3", VALUE), ("threshold", "", VALUE), ("threshold", " 0.3", VALUE), ("threshold", "-1", VALUE),
        ("percentile", "100", OK), ("percentile", "101", VALUE), ("percentile", "otsu", VALUE),
        ("quantize", "1", VALUE), ("quantize", "false", OK), ("connectivity", "6", VALUE), ("connectivity", "4", OK),
        ("area", "Polygon", VALUE), ("high_threshold", "0.1", VALUE), ("high_threshold", "none", OK),
        ("keep", "all", FIELD), ("", "", FIELD),
    ],
)  # fmt: skip
def test_fields_and_values(field, value, status):
    protocol = Protocol("paper")
    assert protocol.set(field, value) == status
    # What is refused changes nothing.
    if status != OK:
        assert np.array_equal(
            boxes_from_maps(MAPS, (9, 9), protocol)[0], boxes_from_maps(MAPS, (9, 9), Protocol("paper"))[0]
        )


def test_protocols_have_names():
    handle = POINTER(1)
    assert library.fastcam_protocol_create(b"papers", ctypes.byref(handle)) == NAME
    assert handle.value is None
    assert library.fastcam_protocol_create(None, ctypes.byref(handle)) == NULL
    assert library.fastcam_protocol_create(b"paper", None) == NULL
    protocol = Protocol("paper")
    assert library.fastcam_protocol_set(None, b"area", b"pixels") == NULL
    assert library.fastcam_protocol_set(protocol.handle, None, b"pixels") == NULL
    assert library.fastcam_protocol_set(protocol.handle, b"area", None) == NULL


def test_every_status_has_words():
    words = {library.fastcam_message(status).decode() for status in range(LAST_STATUS + 1)}
    assert len(words) == LAST_STATUS + 1
    assert library.fastcam_message(99) == b"no status of this library"
    assert library.fastcam_instruction_set().decode() == _C.core()


@pytest.mark.parametrize("compiler", ["cc", pytest.param("clang", marks=NO_CLANG)])
def test_the_example_is_c99_and_runs(tmp_path, compiler):
    """Under AddressSanitizer where this test is."""
    program = tmp_path / "maps_to_boxes"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'csrc' / 'c'}"]
    flags += ["-fsanitize=address,undefined"] if SANITIZED else []
    libraries = [LIBRARY.with_name("libfastcam.a"), "-lstdc++", "-lm", "-lpthread", "-ldl"]
    subprocess.run([compiler, *flags, ROOT / "examples" / "maps_to_boxes.c", *libraries, "-o", program], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True, env={}).stdout
    assert printed == (
        "largest: 24 24 103 103, 5348 pixels above 0.2961\n"
        "object: 24 24 103 103, score 0.8969\n"
        "object: 157 61 192 128, score 0.5984\n"
    )


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own symbols stand in the library")
def test_nothing_but_the_functions_is_exported():
    names = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], check=True, capture_output=True, text=True).stdout
    own = {line.split()[-1] for line in names.splitlines() if not line.split()[-1].startswith("_ZNSt")}
    declared = set((ROOT / "csrc" / "c" / "fastcam.h").read_text().split("FASTCAM_API")[3:])
    assert {name for name in own if name.startswith("fastcam")} == own
    assert len(own) == len(declared)


def test_python_is_not_needed():
    needed = subprocess.run(["ldd", LIBRARY], check=True, capture_output=True, text=True).stdout
    assert "python" not in needed
    assert "torch" not in needed


@pytest.mark.long
def test_what_is_installed_compiles_a_program(tmp_path):
    """As docs/without-python.md has it."""
    built, installed = tmp_path / "built", tmp_path / "installed"
    options = ["-DFASTCAM_CORE=OFF", "-DFASTCAM_C_LIBRARY=ON", "-DFASTCAM_INSTRUCTION_SETS=none"]
    for command in (
        ["cmake", "-S", ROOT, "-B", built, *options, f"-DCMAKE_INSTALL_PREFIX={installed}"],
        ["cmake", "--build", built],
        ["cmake", "--install", built],
    ):
        subprocess.run(command, check=True, capture_output=True)
    (described,) = installed.rglob("fastcam.pc")
    told = described.read_text()
    assert f"prefix={installed}\n" in told
    (folder,) = {path.parent for path in installed.rglob("libfastcam.so")}
    for link in (["-L", folder, "-lfastcam", f"-Wl,-rpath,{folder}"], [folder / "libfastcam.a", "-lstdc++", "-lm"]):
        program = tmp_path / "program"
        subprocess.run(
            [
                "cc",
                f"-I{installed / 'include'}",
                ROOT / "examples" / "maps_to_boxes.c",
                *link,
                "-lpthread",
                "-o",
                program,
            ],
            check=True,
        )
        assert subprocess.run([program], check=True, capture_output=True).stdout.startswith(b"largest: 24 24 103 103")
    # Stripped, for one instruction set.
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "-o", stripped, folder / "libfastcam.so"], check=True)
    assert stripped.stat().st_size < 2_000_000
