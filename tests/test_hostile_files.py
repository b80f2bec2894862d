"""What stands in a file is never run, never leaves its folder, and takes no more memory than it is worth."""

import csv
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import small_datasets

pytest.importorskip("lightning_fabric")
pytest.importorskip("PIL.Image")

import fastcam
from fastcam.data import DataError, read_cub, read_imagenet, read_mask, read_metadata
from fastcam.data.synthetic import write_synthetic
from fastcam.evaluation import ScoreMapError, ScoreMaps, writing_score_maps
from fastcam.images import PictureError, picture_size, read_picture
from fastcam.models import read_classes, read_state_dict
from fastcam.result_files import write_table
from fastcam.training import ConfigError, TrainingConfig, read_config, start_engine, train


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"8" * 8, struct.pack("<Q", 2**60) + b"{}"])
def test_safetensors(content, guarded):
    pytest.importorskip("safetensors")
    (guarded / "w.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.safetensors"):
        read_state_dict(guarded / "w.safetensors")


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "!!python/object/apply:os.system ['touch ran']"),
        ("a.yaml", "data: !!python/name:os.system"),
        ("a.yaml", "model_options: {width: !!python/object/new:os.system ['touch ran']}"),
        ("a.yaml", "lr: 1\nlr: 2"),
        ("a.yaml", "model_options: {width: 1, width: 2}"),
        ("a.yaml", "a: &a 1\nb: *a"),
        ("a.yaml", LAUGHS),
        ("a.yaml", "[" * 3000),
        ("a.yaml", "lr: 2020-13-45"),
        ("a.yaml", "- 1"),
        ("a.yaml", "1: 2"),
        ("a.yaml", "x: " + "y" * (1 << 21)),
        ("a.toml", "a = 1\na = 2"),
        ("a.toml", "a = " + "[" * 3000),
        ("a.toml", "\xff"),
        ("a.toml", "x = '" + "y" * (1 << 21) + "'"),
        ("a.json", "{}"),
    ],
)
def test_settings(name, text, guarded):
    (guarded / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=name) as caught:
        read_config(guarded / name)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("name", ["innocent:run", "os:abort", "timm:resnet50", "hf:a/b"])
@pytest.mark.parametrize("field", ["model", "method"])
def test_names_in_settings(name, field, guarded):
    write_synthetic("birds", train=8, test=2, classes=2, size=32)
    (guarded / "a.toml").write_text(f'data = "birds"\n{field} = "{name}"\n')
    config = TrainingConfig.from_mapping(read_config("a.toml"))
    with pytest.raises(ConfigError, match=r"is no network|is unknown"):
        train(config, guarded / "run", start_engine(device="cpu"))


PATHS_OUT = ["../a.png", "/etc/passwd", "x/../../a.png", ".."]
PATHS_OUT += ["C:\\a.png", "C:a.png", "\\\\host\\a.png", "..\\a.png", "\\a.png"]


@pytest.mark.parametrize("path", PATHS_OUT)
def test_ids_in_metadata(path, guarded):
    small_datasets.metadata(guarded / "meta", {path: (0, (64, 48), ["0,0,9,9"])})
    with pytest.raises(DataError, match=r"image_ids.txt:1: path must lie below its folder, got"):
        read_metadata(guarded / "meta", images=guarded)


@pytest.mark.parametrize("path", PATHS_OUT)
@pytest.mark.parametrize("column", ["mask", "ignore"])
def test_masks_in_metadata(path, column, guarded):
    line = f"{path}," if column == "mask" else f"a.png,{path}"
    small_datasets.metadata(guarded / "meta", {"a.png": (0, (64, 48), [line])})
    with pytest.raises(DataError, match=rf"localization.txt:1: {column} must lie below its folder"):
        read_metadata(guarded / "meta", images=guarded)


@pytest.mark.parametrize("path", PATHS_OUT)
def test_ids_in_cub(path, guarded):
    root = small_datasets.cub(guarded / "cub")
    lines = (root / "images.txt").read_text().splitlines()
    (root / "images.txt").write_text("\n".join([f"1 {path}", *lines[1:]]))
    with pytest.raises(DataError, match=r"images.txt:1: path must lie below its folder"):
        read_cub(root, "train")


@pytest.mark.parametrize("number", ["\uff11\uff12", "1_2", "\u0663", "0x3", "1e2", " ", "+-1"])
def test_numbers_that_only_python_takes(number, guarded):
    small_datasets.metadata(guarded / "meta", {"a.png": (number, (64, 48), ["0,0,9,9"])})
    with pytest.raises(DataError, match=r"class_labels\.txt:1"):
        read_metadata(guarded / "meta", images=guarded)
    small_datasets.metadata(guarded / "boxes", {"a.png": (0, (64, 48), [f"0,0,{number.replace('1e2', '1_0')},9"])})
    with pytest.raises(DataError, match=r"localization\.txt:1"):
        read_metadata(guarded / "boxes", images=guarded)


ENTITIES = '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<annotation>",
        b'<?xml version="1.0" encoding="no-such"?><annotation/>',
        b'<?xml version="1.0" encoding="utf-7"?><annotation/>',
        b'<?xml version="1.0" encoding="utf-16"?><annotation/>',
        f"{ENTITIES}]><annotation>&j;</annotation>".encode(),
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        b"<annotation>" + b" " * (1 << 21) + b"</annotation>",
        b"<annotation><object><name>n\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3\xd9\xa3</name></object></annotation>",
        b"<annotation>\xff</annotation>",
        b"<a>" * 100_000,
    ],
)
def test_xml(text, guarded):
    small_datasets.picture(guarded / "val" / "a.png")
    (guarded / "boxes").mkdir()
    (guarded / "boxes" / "a.xml").write_bytes(text)
    with pytest.raises(DataError, match=r"a\.xml"):
        read_imagenet(guarded, "val", boxes=guarded / "boxes")


@pytest.mark.parametrize("content", [b"", b"# only\n", b"\xff\xfe", b"a\n\nb\n"])
def test_class_names(content, guarded):
    (guarded / "classes.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"classes.txt|codec"):
        read_classes(guarded / "classes.txt")


def png(path, width, height):
    """A grey picture of zeros, a thousandth of its size on the disk."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


class TestPictures:
    def test_one_of_200_million_pixels_is_refused_by_its_header(self, guarded):
        png(guarded / "a.png", 20_000, 10_000)
        assert (guarded / "a.png").stat().st_size < 1_000_000
        assert picture_size("a.png") == (10_000, 20_000)
        with pytest.raises(PictureError, match=r"a.png: has 20000x10000 pixels .*, more than the 134217728 allowed"):
            read_picture("a.png")
        record = fastcam.data.Record("a", guarded / "a.png", 0, masks=(guarded / "a.png",))
        with pytest.raises(PictureError, match="more than the 134217728 allowed"):
            read_mask(record)

    def test_a_limit_can_be_raised_beyond_pillows(self, guarded):
        png(guarded / "a.png", 19_000, 9_500)
        code = "from fastcam.images import *; print(read_picture('a.png', most_pixels=1 << 28).shape)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "(9500, 19000, 3)\n"

    def test_an_overlay_takes_little_more_than_the_picture(self):
        code = (
            "import numpy as np, resource\n"
            "from fastcam.draw import overlay\n"
            "image = np.zeros((6000, 6000, 3), np.uint8)\n"
            "overlay(image[:64, :64], np.eye(14))\n"
            "image[:] = 1\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "overlay(image, np.eye(14), [[0, 0, 9, 9]], ['cat'])\n"
            "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 36e6)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        # Bytes a pixel: the result has 3. They were 37.
        assert float(done.stdout) < 6


def test_names_that_end_lines_are_read_back_whole(tmp_path):
    names = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", "a\u2028b", "\x0b", "plain"]
    write_table(tmp_path / "a.csv", ["name", "n"], [[name, i] for i, name in enumerate(names)])
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == names


class TestScoreMaps:
    @pytest.mark.parametrize("name", PATHS_OUT)
    def test_ids_stay_below_their_folder(self, name, guarded):
        (guarded / "maps").mkdir()
        maps = ScoreMaps(guarded / "maps")
        with pytest.raises(ScoreMapError, match="an id must lie below its folder"):
            maps.read(name)
        with writing_score_maps(guarded / "maps.npz") as writer, pytest.raises(ScoreMapError, match="must lie below"):
            writer.write(name, np.eye(3))

    def test_one_that_grows_is_refused_by_its_header(self, guarded):
        np.savez_compressed(guarded / "maps.npz", **{"a.jpg": np.zeros((15_000, 15_000))})
        assert (guarded / "maps.npz").stat().st_size < 3_000_000
        code = (
            "import resource\n"
            "from fastcam.evaluation import ScoreMapError, ScoreMaps\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "try:\n"
            "    ScoreMaps('maps.npz').read('a.jpg')\n"
            "except ScoreMapError as error:\n"
            "    print(error)\n"
            "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "maps.npz[a.jpg]: has 225000000 values, more than the 16777216 allowed" in done.stdout

    @pytest.mark.parametrize("values", [np.array([{}]), np.array(["a"]), np.zeros((2, 2), complex)])
    def test_what_is_no_numbers(self, values, guarded):
        (guarded / "maps").mkdir()
        np.save(guarded / "maps" / "a.npy", values, allow_pickle=True)
        with pytest.raises(ScoreMapError, match=r"a\.npy"):
            ScoreMaps(guarded / "maps").read("a")

    def test_a_name_that_no_file_can_have(self, guarded):
        (guarded / "maps").mkdir()
        with pytest.raises(ScoreMapError, match=r"no such score map|name too long"):
            ScoreMaps(guarded / "maps").read("a" * 300)

    def test_a_name_that_is_not_utf_8_comes_back(self, guarded):
        with writing_score_maps(guarded / "maps.npz") as writer:
            writer.write("a\udcff.jpg", np.eye(3))
        np.testing.assert_array_equal(ScoreMaps(guarded / "maps.npz").read("a\udcff.jpg"), np.eye(3))
