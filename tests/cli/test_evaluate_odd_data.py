"""``fastcam evaluate`` on data that is odd, and what it says of where its numbers are from."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import invoke, paint
from small_datasets import cub, mask, metadata, picture

pytest.importorskip("torchmetrics")
pytest.importorskip("matplotlib")

import sweep_peers

from fastcam.data import read_cub
from fastcam.inputs import RESIZE


def run(*arguments, code=0, command="evaluate"):
    return invoke(command, *arguments, code=code)


def report():
    return json.loads(Path("out/evaluation.json").read_text(encoding="utf-8"))


def score_maps(root, names, dtype=np.float32, size=(6, 6)):
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(root / f"{name}.npy", rng.random(size).astype(dtype))


@pytest.fixture
def masks(tmp_path, monkeypatch):
    """Metadata and score maps of four images with masks."""
    monkeypatch.chdir(tmp_path)
    names = [f"test/x/{number}.jpg" for number in range(4)]
    for number in range(4):
        mask(tmp_path / "masks" / f"{number}m.png", (100, 120), (10, 10, 60 + number, 70))
        mask(tmp_path / "masks" / f"{number}i.png", (100, 120), (50, 0, 120, 40))
    images = {name: (0, (0, 0), [f"{number}m.png,{number}i.png"]) for number, name in enumerate(names)}
    metadata(tmp_path / "metadata" / "test", images, sizes=False)
    score_maps(tmp_path / "maps", names)
    return tmp_path


MASKED = ["--scoremaps", "maps", "--metadata", "metadata", "--masks", "masks", "--workers", 0]


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    """Metadata and score maps of five images with boxes."""
    monkeypatch.chdir(tmp_path)
    images = {f"a/{number}.jpg": (0, (500, 335), [f"{10 * number},20,{200 + 40 * number},300"]) for number in range(5)}
    metadata(tmp_path / "metadata" / "test", images)
    score_maps(tmp_path / "maps", images)
    return tmp_path


BOXED = ["--scoremaps", "maps", "--metadata", "metadata", "--workers", 0]


class TestOddData:
    @pytest.mark.parametrize("options", [[], ["--skip-bad"], ["--out", "out"]])
    def test_masks_without_an_object(self, masks, options):
        for number in range(4):
            mask(masks / "masks" / f"{number}m.png", (100, 120), (0, 0, 0, 0))
        message = run(*MASKED, *options, code=1).stderr
        assert "no mask has an object pixel, so PxAP is undefined" in message

    def test_one_mask_without_an_object_counts(self, masks):
        mask(masks / "masks" / "2m.png", (100, 120), (0, 0, 0, 0))
        result = run(*MASKED, "--out", "out", "--per-image", "rows.csv", "--gallery", 1)
        assert 0 < float(result.stdout.splitlines()[-1].split()[1]) < 100

    @pytest.mark.parametrize("dtype", [np.longdouble, ">f4", ">f8", "<f8", np.float16])
    @pytest.mark.parametrize("options", [[], ["--skip-bad"]])
    @pytest.mark.usefixtures("boxes")
    def test_score_maps_of_any_floating_point_type(self, boxes, dtype, options):
        names = [f"a/{number}.jpg" for number in range(5)]
        score_maps(boxes / "other", names, dtype)
        same = [np.load(boxes / "other" / f"{name}.npy").astype(np.float64) for name in names]
        np.savez(boxes / "double.npz", **dict(zip(names, same, strict=True)))
        lines = [
            run("--scoremaps", source, *BOXED[2:], *options).stdout.splitlines()[-1]
            for source in ("other", "double.npz")
        ]
        assert lines[0] == lines[1]

    def test_what_float64_cannot_hold(self, boxes):
        np.save(boxes / "maps" / "a" / "1.jpg.npy", np.full((6, 6), np.longdouble("1e4000")))
        assert "1.jpg.npy: a score map must be finite" in run(*BOXED, code=1).stderr
        assert "1 skipped" in run(*BOXED, "--skip-bad", code=1).stderr

    @pytest.mark.parametrize("length", [300, 70_000])
    @pytest.mark.parametrize("archive", [False, True])
    def test_a_name_that_no_file_can_have(self, boxes, length, archive):
        name = "n" * length + ".jpg"
        images = {name: (0, (500, 335), ["10,20,200,300"]), "a/1.jpg": (0, (500, 335), ["10,20,200,300"])}
        metadata(boxes / "metadata" / "test", images)
        if archive:
            np.savez("maps.npz", **{"a/1.jpg": np.eye(6)})
        options = ["--scoremaps", "maps.npz" if archive else "maps", *BOXED[2:]]
        for more, text in (([], "(--skip-bad leaves it out)"), (["--skip-bad"], "1 skipped")):
            stderr = run(*options, *more, code=1).stderr
            assert text in stderr
            assert "Traceback" not in stderr
            assert max(map(len, stderr.splitlines())) < 2500

    def test_a_picture_with_a_name_that_no_file_can_have(self, here):
        images = {"n" * 300 + ".jpg": (0, (64, 48), ["1,2,20,30"]), "a.png": (0, (64, 48), ["1,2,20,30"])}
        metadata(here / "metadata" / "test", images)
        picture(here / "a.png")
        options = ["--model", "toy_network:Colours", "--map-class", "predicted", "--input-size", 64, "--workers", 0]
        options += ["--metadata", "metadata", "--images", "."]
        assert "File name too long" in run(*options, code=1).stderr
        assert "1 skipped" in run(*options, "--skip-bad", code=1).stderr


class TestClassFolders:
    def test_of_any_name_have_classes_and_want_boxes(self, here):
        for name in ("cat", "dog"):
            picture(here / "pets" / "val" / name / "1.png")
        options = ["--data", "pets", "--split", "val", "--model", "toy_network:Colours", "--map-class", "predicted"]
        message = run(*options, code=1).stderr
        assert "val: neither boxes nor masks to evaluate against" in message
        assert "in no class folder" not in message


def fits_of_its_own(row):
    """What a row says itself: its box and IoU make its ``fits``."""
    return int(float(row["iou"]) >= 0.5)


@pytest.fixture
def colours(here):
    root = cub(here / "birds", 9, size=(96, 128), boxes=["32 24 48 48"] * 9)
    for split in ("train", "test"):
        for number, record in enumerate(read_cub(root, split)):
            paint(record.path, "red" if record.label == 0 else "blue", box=(32, 24, 80 - 12 * (number % 3), 72))
    (here / "same.txt").write_text("0,0\n1,2\n")
    return here


NETWORK = ["--data", "birds", "--model", "toy_network:Colours", "--input-size", 64, "--class-map", "same.txt"]
NETWORK += ["--mean", 0, 0, 0, "--std", 1, 1, 1, "--workers", 0]


class TestWhereNumbersAreFrom:
    @pytest.mark.parametrize("protocol", ["paper", "authors", "wsoleval"])
    @pytest.mark.usefixtures("colours")
    def test_every_row_agrees_with_itself(self, protocol):
        run(*NETWORK, "--protocol", protocol, "--per-image", "rows.csv", "--out", "out", "--threshold", 0.8)
        with open("rows.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        told = report()["numbers"]["score_maps"]
        assert [int(row["fits"]) for row in rows] == [fits_of_its_own(row) for row in rows]
        assert np.mean([int(row["fits"]) for row in rows]) == pytest.approx(told["gt_loc"]["value"])
        chosen = np.mean([float(row["chosen_iou"]) >= 0.5 for row in rows])
        assert chosen == pytest.approx(told["max_box_acc_50"]["value"])
        for row, record in zip(rows, read_cub("birds"), strict=True):
            truth = RESIZE.replace(resize=(64, 64)).boxes(record.boxes, record.size, ends="exclusive")
            box = np.array([[float(row[f"chosen_{name}"]) for name in ("x0", "y0", "x1", "y1")]])
            expected = sweep_peers.inclusive_iou(box, truth).max()
            assert float(row["chosen_iou"]) == pytest.approx(expected, abs=1e-6)
            if protocol != "paper":
                box = np.array([[float(row[name]) for name in ("x0", "y0", "x1", "y1")]])
                expected = sweep_peers.inclusive_iou(box, truth).max()
                assert float(row["iou"]) == pytest.approx(expected, abs=1e-6)

    @pytest.mark.usefixtures("colours")
    def test_the_gallery_and_the_report_say_what_they_show(self):
        result = run(*NETWORK, "--out", "out", "--gallery", 1)
        page = Path("out/gallery.html").read_text(encoding="utf-8")
        told = report()
        threshold = told["numbers"]["score_maps"]["max_box_acc_50"]["threshold"]
        assert f"cut at the threshold {threshold:g}, the best one on these very images (an oracle)" in page
        assert "<h1>birds test</h1>" in page
        assert told["facts"]["dataset"] == "birds"
        assert "CUB" not in result.stdout
        for name in ("GT-Loc: ", "Top-k Loc: ", "MaxBoxAcc (V1): ", "MaxBoxAccV2: "):
            assert sum(line.startswith(name) for line in result.stdout.splitlines()) == 1
        run(*NETWORK, "--out", "out", "--gallery", 1, "--threshold-from", "train")
        assert "the best one on the train split" in Path("out/gallery.html").read_text(encoding="utf-8")

    @pytest.mark.usefixtures("boxes")
    def test_their_interval_and_their_closing_line_by_their_names(self):
        theirs = ["--scoremap_root", "maps", "--metadata_root=metadata", "--workers", 0]
        result = run(*theirs, "--out", "out")
        assert "0.01 apart, the default of wsolevaluation's script" in result.stderr
        assert report()["facts"]["thresholds"].startswith("100,")
        same = run(*theirs, "--cam_curve_interval", 0.01)
        assert same.stdout == result.stdout
        assert "apart" not in same.stderr
        name, number = result.stdout.splitlines()[-1].split()
        assert (name, repr(float(number))) == ("localization:", number)
        run(*theirs, "--cam_curve_interval", 0.001, "--out", "out")
        assert report()["facts"]["thresholds"].startswith("1000,")

    @pytest.mark.usefixtures("boxes")
    def test_by_our_names_the_interval_is_the_published_one(self):
        result = run(*BOXED, "--out", "out")
        assert report()["facts"]["thresholds"].startswith("1000,")
        assert "apart" not in result.stderr
        assert result.stdout.splitlines()[-1].endswith(" percent: MaxBoxAcc, IoU 0.5, at the oracle threshold")

    @pytest.mark.usefixtures("colours")
    def test_the_closing_line_says_what_it_is(self):
        last = run(*NETWORK).stdout.splitlines()[-1]
        assert last == "localization: 100.0 percent: MaxBoxAcc, IoU 0.5, at the oracle threshold"
        last = run(*NETWORK, "--multi-contour", "--multi-iou").stdout.splitlines()[-1]
        assert last.endswith(": MaxBoxAccV2, mean, at the oracle threshold")


class TestSet:
    @pytest.mark.usefixtures("colours")
    def test_a_technique_turned_off_is_the_protocol_without_it(self):
        def number(*options):
            run(*NETWORK, *options, "--out", "out")
            told = report()
            return told["numbers"]["score_maps"]["gt_loc"], told["facts"]["protocol"]

        vanilla = number("--protocol", "vanilla")
        assert number("--set", "clamp_negative=false", "--set", "percentile=100", "--set", "threshold=0.2") == vanilla
        assert number("--set", "clamp_negative=no", "--percentile", 100, "--threshold", 0.2) == vanilla

    @pytest.mark.usefixtures("colours")
    def test_a_custom_protocol_is_written_out(self):
        result = run(*NETWORK, "--protocol", "authors", "--set", "clamp_negative=false", "--set", "connectivity=4")
        assert "protocol fields: clamp_negative=False, interpolation=bicubic" in result.stdout
        assert "connectivity=4" in result.stdout

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--set", "clamp=false"], "expected FIELD=VALUE of clamp_negative, interpolation"),
            (["--set", "clamp_negative"], "expected FIELD=VALUE"),
            (["--set", "clamp_negative=perhaps"], "clamp_negative: 'perhaps' is not a valid boolean"),
            (["--set", "connectivity=5"], "connectivity must be one of 4, 8, got 5"),
            (["--set", "interpolation=nearest"], "interpolation must be one of 'bilinear', 'bicubic', got 'nearest'"),
            (["--set", "percentile=0.9"], "looks like a fraction"),
            (["--set", "percentile=95", "--percentile", "90"], "percentile is given twice"),
        ],
    )
    @pytest.mark.usefixtures("colours")
    def test_what_cannot_be_set(self, options, message):
        assert message in " ".join(run(*NETWORK, *options, code=2).stderr.split())

    @pytest.mark.usefixtures("colours")
    def test_localize_has_it_too(self):
        options = ["--model", "toy_network:Colours", "--out", "boxes", "birds/images"]
        run(*options, "--set", "empty=image", command="localize")
        assert "got 'nowhere'" in run(*options, "--set", "empty=nowhere", code=2, command="localize").stderr


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked up in /proc")
class TestKilledWorker:
    @pytest.mark.parametrize("command", ["evaluate", "train"])
    def test_is_named_and_leaves_no_process(self, command, tmp_path):
        pytest.importorskip("lightning_fabric")
        cub(tmp_path / "birds", 64, boxes=["4 3 20 30"] * 64)
        if command == "evaluate":
            arguments = ["--model", "efficientnet-lite0", "--map-class", "predicted", "--input-size", "64"]
        else:
            arguments = ["--model", "vgg16", "--model-option", "width=0.0625", "--batch-size", "8", "--epochs", "9"]
            arguments += ["--resize", "36", "--crop", "32", "--device", "cpu", "--out", "run"]
        code = "from fastcam.cli.main import main; main(prog_name='fastcam')"
        with subprocess.Popen(
            [sys.executable, "-c", SLOW + code, command, "--data", "birds", *arguments, "--workers", "2"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                workers, end = [], time.monotonic() + 120
                while len(workers) < 2 and process.poll() is None and time.monotonic() < end:
                    time.sleep(0.05)
                    workers = children(process.pid)
                time.sleep(0.3)
                os.kill(workers[0], signal.SIGKILL)
                stderr = process.communicate(timeout=120)[1]
            finally:
                process.kill()
        assert process.returncode == 1, stderr
        assert "a process that reads pictures or score maps ended before its time" in stderr
        assert "Traceback" not in stderr
        end = time.monotonic() + 10
        while [one for one in workers if os.path.exists(f"/proc/{one}")] and time.monotonic() < end:
            time.sleep(0.1)
        assert [one for one in workers if os.path.exists(f"/proc/{one}")] == []


# Reading takes so long that the processes that read are there when one of them is killed.
SLOW = """
import time
import fastcam.data.record as record
real = record.read_picture
record.read_picture = lambda *given, **options: (time.sleep(0.4), real(*given, **options))[1]
"""


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return list(map(int, file.read().split()))
    except OSError:
        return []
